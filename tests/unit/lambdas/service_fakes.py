"""Fakes of HealthImaging and SageMaker behind real boto3 clients.

botocore validates each request before it gets here, and each answer is validated against the service's output shape, so
that a fake cannot drift from the service's wire contract.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
from botocore.validate import ParamValidator

NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
DATASTORE_ID = "bbc4f3cccbae4095a34170fddc19b13d"
PIPELINE_ARN = "arn:aws:sagemaker:us-west-2:111122223333:pipeline/ahi-mlops-pipeline"


@functools.cache
def _session() -> boto3.session.Session:
    """One session: it keeps the service models, which take longer to read than a test takes."""
    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-west-2")


class ServiceFake:
    """Answers every operation for which it has a method of the API's name. ``fail_next`` queues service errors."""

    service = ""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._failures: dict[str, list[tuple[int, str]]] = {}
        self.client = _session().client(self.service)
        self._pending: list[dict[str, Any]] = []
        hyphenized = self.client.meta.service_model.service_id.hyphenize()
        self.client.meta.events.register(f"before-parameter-build.{hyphenized}", self._remember)
        self.client.meta.events.register(f"before-call.{hyphenized}", self._answer)

    def fail_next(self, operation: str, status: int, code: str) -> None:
        self._failures.setdefault(operation, []).append((status, code))

    def _answer(self, model: Any, params: dict[str, Any], context: Any, **_: Any) -> Any:
        self.calls.append(model.name)
        arguments = self._pending.pop()
        if self._failures.get(model.name):
            status, code = self._failures[model.name].pop(0)
            error = {"Error": {"Code": code, "Message": "PATIENT^NAME"}, "ResponseMetadata": {"HTTPStatusCode": status}}
            return SimpleNamespace(status_code=status), error
        answer = getattr(self, model.name)(**arguments)
        report = ParamValidator().validate(answer, model.output_shape)
        assert not report.has_errors(), report.generate_report()
        return SimpleNamespace(status_code=200), {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def _remember(self, params: dict[str, Any], **_: Any) -> None:
        self._pending.append(dict(params))


class HealthImagingFake(ServiceFake):
    service = "medical-imaging"

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.by_token: dict[str, str] = {}

    def StartDICOMImportJob(self, clientToken: str, **request: Any) -> dict[str, Any]:
        job_id = self.by_token.setdefault(clientToken, f"{len(self.by_token) + 1:032x}")
        self.jobs.setdefault(job_id, {**request, "jobId": job_id, "jobStatus": "SUBMITTED", "submittedAt": NOW})
        return {"datastoreId": DATASTORE_ID, "jobId": job_id, "jobStatus": "SUBMITTED", "submittedAt": NOW}

    def GetDICOMImportJob(self, datastoreId: str, jobId: str) -> dict[str, Any]:
        return {"jobProperties": self.jobs[jobId]}

    def ListDICOMImportJobs(self, datastoreId: str, **_: Any) -> dict[str, Any]:
        names = ("jobId", "jobName", "jobStatus", "datastoreId", "submittedAt")
        return {"jobSummaries": [{name: job[name] for name in names} for job in self.jobs.values()]}


class SageMakerFake(ServiceFake):
    service = "sagemaker"

    def __init__(self) -> None:
        super().__init__()
        self.executions: dict[str, dict[str, Any]] = {}
        self.by_token: dict[str, str] = {}
        self.steps: dict[str, list[dict[str, Any]]] = {}

    def StartPipelineExecution(self, ClientRequestToken: str, **request: Any) -> dict[str, Any]:
        arn = self.by_token.setdefault(ClientRequestToken, f"{PIPELINE_ARN}/execution/e{len(self.by_token) + 1}")
        self.executions.setdefault(arn, {**request, "status": "Executing"})
        return {"PipelineExecutionArn": arn}

    def DescribePipelineExecution(self, PipelineExecutionArn: str) -> dict[str, Any]:
        execution = self.executions[PipelineExecutionArn]
        answer = {
            "PipelineArn": PIPELINE_ARN,
            "PipelineExecutionArn": PipelineExecutionArn,
            "PipelineExecutionStatus": execution["status"],
            "CreationTime": NOW,
            "LastModifiedTime": NOW,
        }
        if "PipelineExecutionDisplayName" in execution:
            answer["PipelineExecutionDisplayName"] = execution["PipelineExecutionDisplayName"]
        if "reason" in execution:
            answer["FailureReason"] = execution["reason"]
        return answer

    def ListPipelineExecutions(self, PipelineName: str, **_: Any) -> dict[str, Any]:
        return {
            "PipelineExecutionSummaries": [
                {
                    "PipelineExecutionArn": arn,
                    "PipelineExecutionStatus": execution["status"],
                    **{k: v for k, v in execution.items() if k == "PipelineExecutionDisplayName"},
                }
                for arn, execution in self.executions.items()
            ]
        }

    def ListPipelineExecutionSteps(self, PipelineExecutionArn: str, **_: Any) -> dict[str, Any]:
        return {"PipelineExecutionSteps": self.steps.get(PipelineExecutionArn, [])}
