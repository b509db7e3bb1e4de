"""What each notice makes of an item: pure functions from what the ledger holds to what it holds then.

Any order and any duplication of the same notices ends in the same item (tests/properties/test_ledger_order.py).
"""

from __future__ import annotations

from collections import Counter

from ahiflow.batch import BatchManifest
from ahiflow.ledger import transitions
from ahiflow.ledger.schema import (
    BatchItem,
    DeploymentItem,
    ExecutionItem,
    ImportJobItem,
    RefusalCount,
    SeriesCount,
    StudyBatchItem,
    StudyImageSetItem,
)


def batch(now: BatchItem | None, manifest: BatchManifest) -> BatchItem:
    """The facts of the manifest, with the status there was, else ``closed``."""
    refusals = Counter((refusal.status, refusal.reason) for refusal in manifest.refusals)
    start = now or BatchItem(batch_id=manifest.batch_id, status="closed")
    return start.with_changes(
        association_id=manifest.association_id,
        calling_ae_title=manifest.calling_ae_title,
        called_ae_title=manifest.called_ae_title,
        opened_at=manifest.opened_at,
        closed_at=manifest.closed_at,
        closed_because=manifest.closed_because,
        instances=len(manifest.instances),
        total_bytes=sum(instance.size for instance in manifest.instances),
        refusals=tuple(
            RefusalCount(status=status, reason=reason, instances=count)
            for (status, reason), count in sorted(refusals.items())
        ),
        study_instance_uids=tuple(sorted({instance.study_instance_uid for instance in manifest.instances})),
    )


def study_batches(manifest: BatchManifest) -> list[StudyBatchItem]:
    """What the batch brought, study by study."""
    counts = Counter(
        (instance.study_instance_uid, instance.series_instance_uid, instance.modality)
        for instance in manifest.instances
    )
    studies: dict[str, list[SeriesCount]] = {}
    for (study, series, modality), instances in sorted(counts.items()):
        counted = SeriesCount(series_instance_uid=series, modality=modality, instances=instances)
        studies.setdefault(study, []).append(counted)
    return [
        StudyBatchItem(
            study_instance_uid=study,
            batch_id=manifest.batch_id,
            instances=sum(item.instances for item in series_counts),
            series=tuple(series_counts),
        )
        for study, series_counts in studies.items()
    ]


def moved_batch(now: BatchItem | None, wanted: BatchItem) -> BatchItem:
    """The batch with the status, attempt, job and reason of ``wanted``, if that is forward; its facts stay."""
    if now is None:
        return wanted
    if not transitions.moves(transitions.BATCH, (now.attempt, now.status), (wanted.attempt, wanted.status)):
        return now
    known_job = now.import_job_id if now.attempt == wanted.attempt else None
    return now.with_changes(
        status=wanted.status,
        attempt=wanted.attempt,
        import_job_id=wanted.import_job_id or known_job,
        reason=wanted.reason,
    )


def import_job(now: ImportJobItem | None, wanted: ImportJobItem) -> ImportJobItem:
    """The job as described, if that is forward."""
    if now is None or transitions.moves(transitions.IMPORT_JOB, (1, now.status), (1, wanted.status)):
        return wanted
    return now


def study_image_set(now: StudyImageSetItem | None, wanted: StudyImageSetItem) -> StudyImageSetItem:
    """What was noted first stays; of two jobs that claim the same version the one with the smaller id, in any order."""
    if now is None or wanted.import_job_id < now.import_job_id:
        return wanted
    return now


def execution(now: ExecutionItem | None, wanted: ExecutionItem) -> ExecutionItem:
    """The execution as noted, if that is forward; within an attempt what was known and is not said again stays."""
    if now is None:
        return wanted
    if not transitions.moves(transitions.EXECUTION, (now.attempt, now.status), (wanted.attempt, wanted.status)):
        return now
    if now.attempt != wanted.attempt:
        return wanted
    return wanted.with_changes(
        pipeline_execution_arn=wanted.pipeline_execution_arn or now.pipeline_execution_arn,
        started_at=wanted.started_at or now.started_at,
        model_package_arn=wanted.model_package_arn or now.model_package_arn,
    )


def deployment(now: DeploymentItem | None, wanted: DeploymentItem) -> DeploymentItem:
    """The deployment as noted, if that is forward."""
    if now is None:
        return wanted
    if not transitions.moves(transitions.DEPLOYMENT, (now.attempt, now.status), (wanted.attempt, wanted.status)):
        return now
    return wanted.with_changes(endpoint_name=wanted.endpoint_name or now.endpoint_name)
