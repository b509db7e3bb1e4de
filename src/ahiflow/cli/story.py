"""Where a study is, as one document: what the ledger holds, completed by SageMaker for what is still going on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from ahiflow.aws_errors import translated
from ahiflow.errors import NotFoundError
from ahiflow.ledger.schema import (
    BatchItem,
    DeploymentItem,
    ExecutionItem,
    ImportFailure,
    ImportJobItem,
    SeriesCount,
    StepSummary,
    StudyBatchItem,
    StudyImageSetItem,
)
from ahiflow.ledger.store import Ledger
from ahiflow.ledger.transitions import EXECUTION_ENDED
from ahiflow.spine.executions import step_summary, steps


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchStory(_Frozen):
    """What one batch brought of the study, and its import. ``failures`` are those of this study."""

    batch: BatchItem
    instances: int
    series: tuple[SeriesCount, ...]
    import_job: ImportJobItem | None
    failures: tuple[ImportFailure, ...]


class ModelStory(_Frozen):
    """A model that an execution registered, whether it is approved, and its deployment."""

    model_package_arn: str
    approval_status: str
    deployment: DeploymentItem | None


class ImageSetStory(_Frozen):
    """One image set version of the study and its execution; ``steps`` as far as it has come."""

    image_set: StudyImageSetItem
    execution: ExecutionItem | None
    steps: tuple[StepSummary, ...]
    model: ModelStory | None


class Story(_Frozen):
    """Everything about one study. ``state`` is one line in plain words: where it is, and why it waits or failed."""

    study_instance_uid: str
    state: str
    batches: tuple[BatchStory, ...]
    image_sets: tuple[ImageSetStory, ...]


def tell(ledger: Ledger, study_instance_uid: str, sagemaker: Any | None = None) -> Story:
    """Collect the story of a study. Without ``sagemaker`` only what the ledger holds is told.

    Raises NotFoundError for a study of which no batch is closed.
    """
    study_batches, image_set_items = ledger.study(study_instance_uid)
    if not study_batches:
        raise NotFoundError(
            f"no study {study_instance_uid} in the ledger (it enters when the association that brings it ends)"
        )
    batches = tuple(_batch(ledger, item) for item in study_batches)
    image_sets = tuple(_image_set(ledger, item, sagemaker) for item in _by_version(image_set_items))
    return Story(
        study_instance_uid=study_instance_uid,
        state=state(batches, image_sets),
        batches=batches,
        image_sets=image_sets,
    )


def state(batches: tuple[BatchStory, ...], image_sets: tuple[ImageSetStory, ...]) -> str:
    """One line: what is furthest behind decides."""
    for story in reversed(batches):
        if said := _import_state(story):
            return said
    for found in image_sets:
        if said := _execution_state(found):
            return said
    for found in image_sets:
        if found.model:
            return _model_state(found.model)
    if not image_sets:
        return "imported; HealthImaging reported no image set"
    reasons = sorted({found.execution.reason for found in image_sets if found.execution and found.execution.reason})
    return f"done: {reasons[0]}" if reasons else "done"


def _import_state(story: BatchStory) -> str | None:
    batch = story.batch
    job = f" (job {batch.import_job_id})" if batch.import_job_id else ""
    failed = {
        "unreadable": "failed: the batch manifest is unreadable",
        "import-refused": "failed: HealthImaging refused to import the batch",
        "import-failed": f"failed: the import brought nothing{job}",
    }
    if batch.status in failed:
        return f"{failed[batch.status]}: {batch.reason or 'no reason was given'}"
    if batch.status == "closed":
        return "waits for start_import: the batch is stored, and no import job was started yet"
    if batch.status == "import-started":
        return f"waits for HealthImaging, which is importing{job}"
    if batch.status == "partly-imported" and story.failures:
        return f"failed in part: {len(story.failures)} of {story.instances} instances were not imported{job}"
    return None


def _execution_state(found: ImageSetStory) -> str | None:
    name = f"image set {found.image_set.image_set_id} version {found.image_set.image_set_version_id}"
    execution = found.execution
    if execution is None or execution.status == "claimed":
        return f"waits for start_pipeline: no execution for {name} yet"
    if execution.status in ("Failed", "Stopped", "refused"):
        step = next((step for step in found.steps if step.status == "Failed"), None)
        reason = (step and step.reason) or execution.reason or "no reason was given"
        where = f" in {step.name}" if step else ""
        return f"failed{where}: {reason} ({name}; `ahiflow replay --study` tries again)"
    if execution.status not in EXECUTION_ENDED and execution.status != "skipped":
        current = next((step.name for step in reversed(found.steps) if step.status in ("Starting", "Executing")), None)
        return f"waits for {current or 'its pipeline execution'} ({name})"
    return None


def _model_state(model: ModelStory) -> str:
    arn = model.model_package_arn
    if model.deployment and model.deployment.status == "in-service":
        return f"done: model {arn} is deployed at endpoint {model.deployment.endpoint_name}"
    if model.approval_status == "PendingManualApproval":
        return f"waits for a person: `ahiflow models approve {arn}`"
    if model.approval_status == "Rejected":
        return f"done: model {arn} was rejected"
    if model.deployment:
        reason = f": {model.deployment.reason}" if model.deployment.reason else ""
        return f"model {arn} is approved; its deployment is {model.deployment.status}{reason}"
    return f"waits for deploy_model: model {arn} is approved"


def _batch(ledger: Ledger, item: StudyBatchItem) -> BatchStory:
    batch = ledger.batch(item.batch_id) or BatchItem(batch_id=item.batch_id, status="closed")
    job = ledger.import_job(batch.import_job_id) if batch.import_job_id else None
    failures = [f for f in job.failures if f.study_instance_uid == item.study_instance_uid] if job else []
    return BatchStory(
        batch=batch, instances=item.instances, series=item.series, import_job=job, failures=tuple(failures)
    )


def _image_set(ledger: Ledger, item: StudyImageSetItem, sagemaker: Any | None) -> ImageSetStory:
    execution = ledger.execution(item.image_set_id, item.image_set_version_id)
    known = execution.steps if execution else ()
    model = None
    if sagemaker and execution:
        if execution.status not in EXECUTION_ENDED and execution.pipeline_execution_arn:
            known = tuple(step_summary(step) for step in steps(sagemaker, execution.pipeline_execution_arn))
        if execution.model_package_arn:
            model = _model(ledger, execution.model_package_arn, sagemaker)
    return ImageSetStory(image_set=item, execution=execution, steps=known, model=model)


def _model(ledger: Ledger, model_package_arn: str, sagemaker: Any) -> ModelStory:
    with translated(f"model package {model_package_arn}"):
        found = sagemaker.describe_model_package(ModelPackageName=model_package_arn)
    return ModelStory(
        model_package_arn=model_package_arn,
        approval_status=found.get("ModelApprovalStatus", "unknown"),
        deployment=ledger.deployment(model_package_arn),
    )


def _by_version(items: list[StudyImageSetItem]) -> list[StudyImageSetItem]:
    return sorted(items, key=lambda item: (item.image_set_id, int(item.image_set_version_id)))
