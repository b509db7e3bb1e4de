"""From an image set version to its one pipeline execution, and to how that ended (docs/architecture.md, steps 4 and 5).

The execution's display name carries image set, version and attempt: ``<image set id>-v<version>-a<attempt>``. It comes
back from ListPipelineExecutions and DescribePipelineExecution, so that a lost ledger item can be found again; an
execution without such a name was started by a person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ahiflow import keys
from ahiflow.aws_errors import translated
from ahiflow.errors import NotFoundError, PermanentError
from ahiflow.idempotency import derive_token
from ahiflow.ledger.schema import ExecutionItem, StepSummary
from ahiflow.ledger.store import Ledger
from ahiflow.ledger.transitions import EXECUTION_ENDED
from ahiflow.pipeline_contract import (
    PARAMETER_DATASTORE_ID,
    PARAMETER_IMAGE_SET_ID,
    PARAMETER_IMAGE_SET_VERSION_ID,
    STEP_CURATE,
    STEP_REGISTER,
    STEP_TRAIN,
)
from ahiflow.spine.service_calls import cut, quotas_pass

_DISPLAY_NAME: Final = re.compile(r"([0-9a-z]{32})-v(\d+)-a(\d+)")
_STARTABLE: Final = frozenset({"claimed", "refused"})


@dataclass(frozen=True, slots=True)
class ExecutionStarter:
    """Starts executions. ``sagemaker`` is boto3's client."""

    sagemaker: Any
    ledger: Ledger
    datastore_id: str
    pipeline_name: str
    start_non_primary: bool

    def start(
        self, image_set_id: str, image_set_version_id: str, is_primary: bool | None, attempt: int = 1
    ) -> ExecutionItem:
        """Start the execution of an image set version, unless this attempt has one; returns what the ledger holds.

        The claim is written first. A crash between the claim and the start is harmless: who comes next holds the same
        derived token, and SageMaker answers with the same execution. Raises TransientError when the same call may
        succeed later; a PermanentError is in the ledger, with its reason, before it is raised.
        """
        claim = ExecutionItem(
            image_set_id=image_set_id, image_set_version_id=image_set_version_id, status="claimed", attempt=attempt
        )
        if is_primary is False and not self.start_non_primary:
            reason = "not a primary image set, and START_NON_PRIMARY is off"
            return self.ledger.note_execution(claim.with_changes(status="skipped", reason=reason))
        held = self.ledger.note_execution(claim)
        if held.attempt != attempt or held.status not in _STARTABLE:
            return held
        try:
            pipeline_execution_arn = self._start(claim)
        except PermanentError as error:
            self.ledger.note_execution(claim.with_changes(status="refused", reason=str(error)))
            raise
        return self.ledger.note_execution(
            claim.with_changes(status="Executing", pipeline_execution_arn=pipeline_execution_arn)
        )

    def _start(self, claim: ExecutionItem) -> str:
        again = () if claim.attempt == 1 else (str(claim.attempt),)
        parameters = {
            PARAMETER_IMAGE_SET_ID: claim.image_set_id,
            PARAMETER_DATASTORE_ID: self.datastore_id,
            PARAMETER_IMAGE_SET_VERSION_ID: claim.image_set_version_id,
        }
        version = claim.image_set_version_id
        with quotas_pass(f"the execution for image set {claim.image_set_id} version {version}"):
            answer = self.sagemaker.start_pipeline_execution(
                PipelineName=self.pipeline_name,
                PipelineExecutionDisplayName=display_name(claim),
                PipelineParameters=[{"Name": name, "Value": value} for name, value in parameters.items()],
                ClientRequestToken=derive_token(
                    "start-pipeline", self.datastore_id, claim.image_set_id, version, *again
                ),
            )
        return str(answer["PipelineExecutionArn"])


@dataclass(frozen=True, slots=True)
class ExecutionNoter:
    """Notes what SageMaker says of executions. The clients are boto3's ``sagemaker`` and ``s3``."""

    sagemaker: Any
    s3: Any
    ledger: Ledger
    artifacts_bucket_name: str
    pipeline_name: str

    def note(self, pipeline_execution_arn: str) -> ExecutionItem | None:
        """Note an execution as SageMaker describes it now; None for one that a person started."""
        with translated(f"pipeline execution {execution_id(pipeline_execution_arn)}"):
            found = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=pipeline_execution_arn)
        named = parse_display_name(found.get("PipelineExecutionDisplayName", ""))
        if named is None:
            return None
        status = found["PipelineExecutionStatus"]
        item = named.with_changes(
            status=status, pipeline_execution_arn=pipeline_execution_arn, started_at=found.get("CreationTime")
        )
        if status in EXECUTION_ENDED:
            item = self._with_end(item, found)
        return self.ledger.note_execution(item)

    def listed(self, since: datetime | None) -> Iterator[tuple[str, ExecutionItem]]:
        """ARN and ledger item (status as listed) of every execution of ours that was created since."""
        window = {"CreatedAfter": since} if since else {}
        pages = self.sagemaker.get_paginator("list_pipeline_executions").paginate(
            PipelineName=self.pipeline_name, **window
        )
        with translated(f"the executions of pipeline {self.pipeline_name}"):
            for page in pages:
                for summary in page["PipelineExecutionSummaries"]:
                    named = parse_display_name(summary.get("PipelineExecutionDisplayName", ""))
                    if named:
                        listed = named.with_changes(status=summary["PipelineExecutionStatus"])
                        yield summary["PipelineExecutionArn"], listed

    def _with_end(self, item: ExecutionItem, found: dict[str, Any]) -> ExecutionItem:
        arn = str(item.pipeline_execution_arn)
        listed = steps(self.sagemaker, arn)
        reason = found.get("FailureReason")
        if item.status == "Succeeded":
            reason = self._why_it_ended_early(arn, {step["StepName"] for step in listed})
        return item.with_changes(
            ended_at=found.get("LastModifiedTime"),
            reason=cut(reason) if reason else None,
            steps=tuple(step_summary(step) for step in listed),
            model_package_arn=registered_model(listed),
        )

    def _why_it_ended_early(self, pipeline_execution_arn: str, step_names: set[str]) -> str | None:
        """Most executions end after CurateDataset, by design (design.md section 6); curation.json says why."""
        if STEP_TRAIN in step_names or STEP_CURATE not in step_names:
            return None
        key = f"{keys.EXECUTIONS}{execution_id(pipeline_execution_arn)}/curation/curation.json"
        try:
            with translated(key):
                body = self.s3.get_object(Bucket=self.artifacts_bucket_name, Key=key)["Body"].read()
            said = json.loads(body)["reason"]
        except (NotFoundError, ValueError, KeyError, TypeError):
            return f"no training after {STEP_CURATE}"
        return f"no training after {STEP_CURATE}: {said}"


def steps(sagemaker: Any, pipeline_execution_arn: str) -> list[dict[str, Any]]:
    """The steps of an execution as ListPipelineExecutionSteps has them, in the order of their start."""
    pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
        PipelineExecutionArn=pipeline_execution_arn, SortOrder="Ascending"
    )
    with translated(f"the steps of pipeline execution {execution_id(pipeline_execution_arn)}"):
        return [step for page in pages for step in page["PipelineExecutionSteps"]]


def step_summary(step: dict[str, Any]) -> StepSummary:
    """What the ledger keeps of a step."""
    reason = step.get("FailureReason")
    return StepSummary(name=step["StepName"], status=step["StepStatus"], reason=cut(reason) if reason else None)


def registered_model(listed: list[dict[str, Any]]) -> str | None:
    """ARN of the model package that an execution registered."""
    for step in listed:
        if step["StepName"].startswith(STEP_REGISTER):
            arn: str | None = step.get("Metadata", {}).get("RegisterModel", {}).get("Arn")
            return arn
    return None


def display_name(item: ExecutionItem) -> str:
    """Display name of an execution (shape PipelineExecutionName: up to 82 letters, digits and inner hyphens)."""
    return f"{item.image_set_id}-v{item.image_set_version_id}-a{item.attempt}"


def parse_display_name(name: str) -> ExecutionItem | None:
    """A claimed item from a display name; None if it is not ours."""
    match = _DISPLAY_NAME.fullmatch(name)
    if not match:
        return None
    return ExecutionItem(image_set_id=match[1], image_set_version_id=match[2], attempt=int(match[3]), status="claimed")


def execution_id(pipeline_execution_arn: str) -> str:
    """The pipeline execution id: the last part of its ARN."""
    return pipeline_execution_arn.rpartition("/")[2]
