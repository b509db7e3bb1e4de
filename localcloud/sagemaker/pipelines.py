"""The pipeline API: definitions are checked when they arrive, executions are started once per token."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.arns import last_part, new_id
from localcloud.sagemaker.context import Context, Operation, now
from localcloud.sagemaker.definition import parse_definition
from localcloud.sagemaker.errors import conflict, limit_exceeded, not_found, unsupported, validation
from localcloud.sagemaker.executions import KIND as EXECUTION
from localcloud.sagemaker.executions import RUNNING, Executions
from localcloud.sagemaker.paging import Listing, cut, list_page
from localcloud.sagemaker.parameters import bind
from localcloud.sagemaker.registry import USER
from localcloud.sagemaker.tags import drop_tags, put_tags

_KIND = "Pipeline"


class Pipelines:
    """Pipelines and what is asked of their executions."""

    def __init__(self, context: Context, executions: Executions) -> None:
        self._context = context
        self._store = context.store
        self._executions = executions

    def operations(self) -> dict[str, Operation]:
        """The API."""
        return {
            "CreatePipeline": self._create,
            "UpdatePipeline": self._update,
            "DescribePipeline": self._describe,
            "ListPipelines": self._list,
            "DeletePipeline": self._delete,
            "StartPipelineExecution": self._start,
            "DescribePipelineExecution": self._describe_execution,
            "DescribePipelineDefinitionForExecution": self._definition,
            "ListPipelineExecutions": self._list_executions,
            "ListPipelineExecutionSteps": self._list_steps,
            "ListPipelineParametersForExecution": self._list_parameters,
            "StopPipelineExecution": self._stop,
            "RetryPipelineExecution": self._retry,
        }

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["PipelineName"]
        arn = self._context.arns.pipeline(name)
        definition = self._definition_text(request)
        with self._store.transaction():
            used = self._store.token("CreatePipeline", request["ClientRequestToken"])
            if used and used[0] == name and self._store.get(_KIND, name):
                return {"PipelineArn": used[1]}
            if self._store.get(_KIND, name):
                raise validation(
                    f"Pipeline names must be unique within an AWS account and region. {arn} already exists."
                )
            if used:
                raise conflict("The ClientRequestToken was used for another pipeline.")
            document = {
                "PipelineArn": arn,
                "PipelineName": name,
                "PipelineDisplayName": request.get("PipelineDisplayName", name),
                "PipelineDefinition": definition,
                "RoleArn": request["RoleArn"],
                "PipelineStatus": "Active",
                "CreationTime": now(),
                "LastModifiedTime": now(),
                "CreatedBy": USER,
                "LastModifiedBy": USER,
            }
            document |= {
                key: request[key] for key in ("PipelineDescription", "ParallelismConfiguration") if key in request
            }
            self._store.put(_KIND, name, document)
            self._store.put_token("CreatePipeline", request["ClientRequestToken"], name, arn)
            put_tags(self._store, arn, request.get("Tags", []))
        return {"PipelineArn": arn}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        text = self._definition_text(request, required=False)
        with self._store.transaction():
            document = self._pipeline(request["PipelineName"])
            members = ("PipelineDisplayName", "PipelineDescription", "RoleArn", "ParallelismConfiguration")
            document |= {key: request[key] for key in members if key in request}
            if text is not None:
                document["PipelineDefinition"] = text
            document["LastModifiedTime"] = now()
            self._store.put(_KIND, document["PipelineName"], document)
        return {"PipelineArn": document["PipelineArn"]}

    def _definition_text(self, request: dict[str, Any], *, required: bool = True) -> Any:
        """The definition, given or fetched from S3, after the check. None when there is none and none is required."""
        location = request.get("PipelineDefinitionS3Location")
        if "PipelineDefinition" in request and location:
            raise validation("Give PipelineDefinition or PipelineDefinitionS3Location, not both.")
        if location:
            if "VersionId" in location:
                raise unsupported("VersionId of PipelineDefinitionS3Location")
            try:
                s3 = self._context.backplane.aws("s3")
                text = s3.get_object(Bucket=location["Bucket"], Key=location["ObjectKey"])["Body"].read().decode()
            except (ClientError, BotoCoreError) as error:
                raise validation(f"Unable to read the pipeline definition from S3: {error}") from error
        else:
            text = request.get("PipelineDefinition")
        if text is None:
            if required:
                raise validation("PipelineDefinition or PipelineDefinitionS3Location is required.")
            return None
        parse_definition(text)
        return text

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        if "PipelineVersionId" in request:
            raise unsupported("pipeline versions")
        return self._pipeline(request["PipelineName"])

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        documents = self._store.all(_KIND)
        page, token = list_page(
            request, documents, Listing(name="PipelineName"), lambda item: str(item["PipelineName"])
        )
        members = ("PipelineArn", "PipelineName", "PipelineDisplayName", "PipelineDescription", "RoleArn")
        times = {
            "CreationTime": "CreationTime",
            "LastModifiedTime": "LastModifiedTime",
            "LastRunTime": "LastExecutionTime",
        }
        summaries = [
            {key: item[key] for key in members if key in item}
            | {new: item[old] for old, new in times.items() if old in item}
            for item in page
        ]
        return {"PipelineSummaries": summaries, **token}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._store.transaction():
            document = self._pipeline(request["PipelineName"])
            name = document["PipelineName"]
            if any(execution["status"] in RUNNING for execution in self._store.all(EXECUTION, name)):
                raise conflict(f"{document['PipelineArn']} has executions that are under way.")
            self._store.delete(_KIND, name)
            drop_tags(self._store, document["PipelineArn"])
        return {"PipelineArn": document["PipelineArn"]}

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        for member in ("SelectiveExecutionConfig", "PipelineVersionId", "MlflowExperimentName"):
            if member in request:
                raise unsupported(f"{member} of StartPipelineExecution")
        pipeline_name = last_part(request["PipelineName"])
        given = request.get("PipelineParameters", [])
        fingerprint = _fingerprint({key: value for key, value in request.items() if key != "ClientRequestToken"})
        with self._store.transaction():
            used = self._store.token("StartPipelineExecution", request["ClientRequestToken"])
            if used and used[0] != fingerprint:
                raise conflict("The ClientRequestToken was used for another request.")
            if used:
                return {"PipelineExecutionArn": used[1]}
            pipeline = self._pipeline(pipeline_name)
            values = bind(parse_definition(pipeline["PipelineDefinition"]).parameters, given)
            running = sum(execution["status"] in RUNNING for execution in self._store.all(EXECUTION))
            if running >= self._context.limits.concurrent_executions:
                raise limit_exceeded(f"The limit of {running} concurrent pipeline executions is reached.")
            execution_id = new_id()
            arn = self._context.arns.pipeline_execution(pipeline["PipelineName"], execution_id)
            parallelism = request.get("ParallelismConfiguration", pipeline.get("ParallelismConfiguration"))
            execution = {
                "arn": arn,
                "id": execution_id,
                "pipeline_name": pipeline["PipelineName"],
                "pipeline_arn": pipeline["PipelineArn"],
                "display_name": request.get("PipelineExecutionDisplayName", f"execution-{int(now() * 1000)}"),
                "description": request.get("PipelineExecutionDescription", ""),
                "parameters": given,
                "values": values,
                "parallelism": parallelism["MaxParallelExecutionSteps"] if parallelism else None,
                "created": now(),
            }
            self._executions.add(execution, pipeline["PipelineDefinition"])
            self._store.put(_KIND, pipeline["PipelineName"], pipeline | {"LastRunTime": execution["created"]})
            self._store.put_token("StartPipelineExecution", request["ClientRequestToken"], fingerprint, arn)
        return {"PipelineExecutionArn": arn}

    def _describe_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution(request["PipelineExecutionArn"])
        answer = {
            "PipelineArn": execution["pipeline_arn"],
            "PipelineExecutionArn": execution["arn"],
            "PipelineExecutionDisplayName": execution["display_name"],
            "PipelineExecutionStatus": execution["status"],
            "CreationTime": execution["created"],
            "LastModifiedTime": execution["updated"],
            "CreatedBy": USER,
            "LastModifiedBy": USER,
        }
        if execution["description"]:
            answer["PipelineExecutionDescription"] = execution["description"]
        if "reason" in execution:
            answer["FailureReason"] = execution["reason"]
        if execution["parallelism"]:
            answer["ParallelismConfiguration"] = {"MaxParallelExecutionSteps": execution["parallelism"]}
        return answer

    def _definition(self, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution(request["PipelineExecutionArn"])
        return {"PipelineDefinition": self._executions.definition(execution), "CreationTime": execution["created"]}

    def _list_executions(self, request: dict[str, Any]) -> dict[str, Any]:
        name = last_part(request["PipelineName"])
        self._pipeline(name)
        summaries = [_summary(execution) for execution in self._store.all(EXECUTION, name)]
        listing = Listing(name="PipelineExecutionArn", created="StartTime")
        page, token = list_page(request, summaries, listing, lambda item: str(item["PipelineExecutionArn"]))
        return {"PipelineExecutionSummaries": page, **token}

    def _list_steps(self, request: dict[str, Any]) -> dict[str, Any]:
        if "PipelineExecutionArn" not in request:
            raise validation("PipelineExecutionArn is required.")
        execution = self._execution(request["PipelineExecutionArn"])
        described = parse_definition(self._executions.definition(execution)).steps
        states = sorted(execution["steps"].values(), key=lambda step: float(step["started"]))
        steps = [_step(state, described[state["name"]]) for state in states]
        if request.get("SortOrder", "Descending") == "Descending":
            steps.reverse()
        page, token = cut(request, steps, lambda step: str(step["StepName"]))
        return {"PipelineExecutionSteps": page, **token}

    def _list_parameters(self, request: dict[str, Any]) -> dict[str, Any]:
        execution = self._execution(request["PipelineExecutionArn"])
        parameters = [{"Name": name, "Value": _shown(value)} for name, value in execution["values"].items()]
        page, token = cut(request, parameters, lambda parameter: parameter["Name"])
        return {"PipelineParameters": page, **token}

    def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["PipelineExecutionArn"]
        with self._store.transaction():
            status = self._execution(arn)["status"]
            if status == "Executing":
                self._executions.stop(arn)
            elif status != "Stopping":
                raise conflict(f"{arn} cannot be stopped: it is {status}.")
        return {"PipelineExecutionArn": arn}

    def _retry(self, request: dict[str, Any]) -> dict[str, Any]:
        arn, token = request["PipelineExecutionArn"], request["ClientRequestToken"]
        with self._store.transaction():
            execution = self._execution(arn)
            if self._store.token("RetryPipelineExecution", token):
                return {"PipelineExecutionArn": arn}
            if execution["status"] not in ("Failed", "Stopped"):
                raise conflict(f"{arn} cannot be retried: it is {execution['status']}.")
            self._store.put_token("RetryPipelineExecution", token, "", arn)
            self._executions.retry(arn)
        return {"PipelineExecutionArn": arn}

    def _pipeline(self, name: str) -> dict[str, Any]:
        document = self._store.get(_KIND, last_part(name))
        if document is None:
            raise not_found(f"Pipeline '{self._context.arns.pipeline(last_part(name))}' does not exist.")
        return document

    def _execution(self, arn: str) -> dict[str, Any]:
        document = self._store.get(EXECUTION, arn)
        if document is None:
            raise not_found(f"Pipeline execution '{arn}' does not exist.")
        return document


def _summary(execution: dict[str, Any]) -> dict[str, Any]:
    summary = {
        "PipelineExecutionArn": execution["arn"],
        "StartTime": execution["created"],
        "PipelineExecutionStatus": execution["status"],
        "PipelineExecutionDisplayName": execution["display_name"],
    }
    if execution["description"]:
        summary["PipelineExecutionDescription"] = execution["description"]
    if "reason" in execution:
        summary["PipelineExecutionFailureReason"] = execution["reason"]
    return summary


def _step(state: dict[str, Any], described: Any) -> dict[str, Any]:
    step = {
        "StepName": state["name"],
        "StartTime": state["started"],
        "StepStatus": "Starting" if state["status"] == "Retry" else state["status"],
        "Metadata": state["metadata"],
        "AttemptCount": state["attempts"],
    }
    optional = {
        "StepDisplayName": described.display_name,
        "StepDescription": described.description,
        "EndTime": state.get("ended"),
        "FailureReason": state.get("reason"),
    }
    return step | {key: value for key, value in optional.items() if value is not None}


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fingerprint(request: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
