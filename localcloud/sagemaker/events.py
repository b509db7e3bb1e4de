"""The aws.sagemaker events, with the details that the SageMaker guide documents; the outbox delivers them.

Shapes: SageMaker developer guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from localcloud.sagemaker.store import Store

SOURCE = "aws.sagemaker"
EXECUTION = "SageMaker Model Building Pipeline Execution Status Change"
STEP = "SageMaker Model Building Pipeline Execution Step Status Change"
MODEL_PACKAGE = "SageMaker Model Package State Change"
ENDPOINT = "SageMaker Endpoint State Change"
TRAINING_JOB = "SageMaker Training Job State Change"
PROCESSING_JOB = "SageMaker Processing Job State Change"


def iso(timestamp: float) -> str:
    """``2021-03-15T16:03:13Z``, as pipeline and model package events write time."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def milliseconds(timestamp: float) -> int:
    """Milliseconds since the epoch, as job and endpoint events write time."""
    return int(timestamp * 1000)


def execution_changed(store: Store, execution: Mapping[str, Any], previous: str | None) -> None:
    """Queue the event of an execution whose status became ``execution["status"]``."""
    detail: dict[str, Any] = {
        "pipelineExecutionDisplayName": execution["display_name"],
        "currentPipelineExecutionStatus": execution["status"],
        "executionStartTime": iso(execution["created"]),
        "pipelineExecutionDescription": execution.get("description", ""),
        "pipelineArn": execution["pipeline_arn"],
        "pipelineExecutionArn": execution["arn"],
    }
    if previous is not None:
        detail["previousPipelineExecutionStatus"] = previous
    if execution["status"] in ("Succeeded", "Failed", "Stopped"):
        detail["executionEndTime"] = iso(execution["updated"])
    _queue(store, EXECUTION, [execution["pipeline_arn"], execution["arn"]], detail)


def step_changed(
    store: Store, execution: Mapping[str, Any], step: Mapping[str, Any], step_type: str, previous: str | None
) -> None:
    """Queue the event of a step whose status became ``step["status"]``; ``metadata`` keys start in lower case."""
    detail: dict[str, Any] = {
        "metadata": _lower_keys(step.get("metadata", {})),
        "stepStartTime": iso(step["started"]),
        "stepName": step["name"],
        "stepType": step_type,
        "currentStepStatus": step["status"],
        "pipelineArn": execution["pipeline_arn"],
        "pipelineExecutionArn": execution["arn"],
    }
    if previous is not None:
        detail["previousStepStatus"] = previous
    if step.get("ended"):
        detail["stepEndTime"] = iso(step["ended"])
    if step["status"] == "Failed":
        detail["failureReason"] = step.get("reason", "")
    _queue(store, STEP, [execution["pipeline_arn"], execution["arn"]], detail)


def model_package_changed(store: Store, package: Mapping[str, Any], updated_fields: Sequence[str] = ()) -> None:
    """Queue the event of a model package that was created or updated."""
    detail = {name: value for name, value in package.items() if name != "Tags"}
    detail["CreationTime"] = iso(package["CreationTime"])
    if "LastModifiedTime" in package:
        detail["LastModifiedTime"] = iso(package["LastModifiedTime"])
    if updated_fields:
        detail["UpdatedModelPackageFields"] = list(updated_fields)
    _queue(store, MODEL_PACKAGE, [package["ModelPackageArn"]], detail)


def endpoint_changed(store: Store, endpoint: Mapping[str, Any]) -> None:
    """Queue the event of an endpoint; its status is written ``IN_SERVICE`` where the API says ``InService``."""
    detail = {
        name: endpoint[name] for name in ("EndpointName", "EndpointArn", "EndpointConfigName") if name in endpoint
    }
    detail |= {
        "ProductionVariants": endpoint.get("ProductionVariants", []),
        "EndpointStatus": re.sub(r"(?<=[a-z])(?=[A-Z])", "_", endpoint["EndpointStatus"]).upper(),
        "CreationTime": milliseconds(endpoint["CreationTime"]),
        "LastModifiedTime": milliseconds(endpoint["LastModifiedTime"]),
        "Tags": {},
    }
    if "FailureReason" in endpoint:
        detail["FailureReason"] = endpoint["FailureReason"]
    detail["ProductionVariants"] = [
        {name: value for name, value in variant.items() if name != "DeployedImages"}
        for variant in detail["ProductionVariants"]
    ]
    _queue(store, ENDPOINT, [endpoint["EndpointArn"]], detail)


def job_changed(store: Store, kind: str, job: Mapping[str, Any]) -> None:
    """Queue the event of a job (``kind`` TRAINING_JOB or PROCESSING_JOB) from its Describe document."""
    detail = {
        name: milliseconds(value) if name.endswith("Time") else value
        for name, value in job.items()
        if name not in ("SecondaryStatusTransitions", "FinalMetricDataList")
    }
    if "SecondaryStatusTransitions" in job:
        detail["SecondaryStatusTransitions"] = [
            {name: milliseconds(value) if name.endswith("Time") else value for name, value in transition.items()}
            for transition in job["SecondaryStatusTransitions"]
        ]
    detail["Tags"] = {}
    arn = job["TrainingJobArn" if kind == TRAINING_JOB else "ProcessingJobArn"]
    _queue(store, kind, [arn], detail)


def _queue(store: Store, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
    store.append_event({"detail_type": detail_type, "resources": list(resources), "detail": dict(detail)})


def _lower_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _lower_keys(item) for key, item in value.items()}
    return value
