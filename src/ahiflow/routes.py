"""Which event goes to which function: one table, read by the CDK app and by the local cloud.

Each route becomes an EventBridge rule -> SQS queue (with a dead-letter queue) -> Lambda event source mapping.
``${Name}`` in a pattern is filled with the deployed value by :func:`ahiflow.placeholders.fill`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Route:
    """An event pattern, or a schedule expression, and the function that handles what matches.

    ``name`` is lower-case kebab, unique, and names the rule. Exactly one of ``pattern`` and ``schedule`` is set.
    """

    name: str
    function: str
    why: str
    pattern: dict[str, Any] | None = None
    schedule: str | None = None


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        name="batch-closed",
        function="start_import",
        why="a batch manifest is written last, so its batch is complete",
        pattern={
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": ["${IngestBucketName}"]}, "object": {"key": [{"prefix": "batches/"}]}},
        },
    ),
    Route(
        name="import-job-ended",
        function="record_import",
        why="only the manifest of an ended job says which files were imported (COMPLETED does not)",
        pattern={
            "source": ["aws.medical-imaging"],
            "detail-type": ["Import Job Completed", "Import Job Failed"],
            "detail": {"datastoreId": ["${DatastoreId}"]},
        },
    ),
    Route(
        name="image-set-version",
        function="start_pipeline",
        why="which event a re-import emits is unconfirmed, so all three count; (image set, version) is the key",
        pattern={
            "source": ["aws.medical-imaging"],
            "detail-type": ["Image Set Created", "Image Set Copied", "Image Set Updated"],
            "detail": {"datastoreId": ["${DatastoreId}"]},
        },
    ),
    Route(
        name="pipeline-execution-ended",
        function="reconcile",
        why="the ledger learns how an execution ended",
        pattern={
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Model Building Pipeline Execution Status Change"],
            "detail": {
                "pipelineArn": ["${PipelineArn}"],
                "currentPipelineExecutionStatus": ["Succeeded", "Failed", "Stopped"],
            },
        },
    ),
    Route(
        name="model-package-decided",
        function="deploy_model",
        why="an approval in the registry, and nothing else, leads to a deployment; a rejection ends it",
        pattern={
            "source": ["aws.sagemaker"],
            "detail-type": ["SageMaker Model Package State Change"],
            "detail": {
                "ModelPackageGroupName": ["${ModelPackageGroupName}"],
                "ModelApprovalStatus": ["Approved", "Rejected"],
            },
        },
    ),
    Route(
        name="sweep",
        function="reconcile",
        why="events may be lost; the sweep finds what they did not bring",
        schedule="rate(5 minutes)",
    ),
)

FUNCTIONS: Final[tuple[str, ...]] = ("start_import", "record_import", "start_pipeline", "deploy_model", "reconcile")
