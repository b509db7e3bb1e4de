"""A SageMaker service alone on a port, with moto's S3 beside it and images whose programs are small scripts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.sagemaker import shapes
from localcloud.sagemaker.context import Limits
from localcloud.sagemaker.dockerfile import ImageStart
from localcloud.sagemaker.images import Image, Images
from localcloud.sagemaker.service import SageMakerService
from localcloud.service import Backplane
from localcloud.standalone import serve_alone

ROLE = "arn:aws:iam::123456789012:role/pipeline"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow/test:1"
BUCKET = "artifacts"
REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("container_program.py")
TOKEN = "t" * 32


def wait_until(what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return the first truthy value of ``condition``; fail, naming ``what``, after a deadline."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def refusal(call: Callable[..., Any], **request: Any) -> str:
    """Make a call that must be refused; ``<error code>: <message>``."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    return f"{caught.value.response['Error']['Code']}: {caught.value.response['Error']['Message']}"


class Bus:
    """Collects events; can be made to refuse them."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.is_down = False
        self._lock = threading.Lock()

    def emit(self, *, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
        if self.is_down:
            raise ConnectionError("the bus is down")
        assert source == "aws.sagemaker"
        with self._lock:
            self.events.append({"detail-type": detail_type, "resources": list(resources), "detail": dict(detail)})

    def details(self, detail_type: str) -> list[dict[str, Any]]:
        with self._lock:
            return [event["detail"] for event in self.events if event["detail-type"] == detail_type]


def client(endpoint_url: str | None, name: str = "sagemaker") -> Any:
    """A boto3 client; every answer of SageMaker is held against botocore's output shape."""
    made = boto3.client(
        name,
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, inject_host_prefix=False),
    )
    if name == "sagemaker":
        made.meta.events.register("after-call.sagemaker", _check_answer)
    return made


def _check_answer(http_response: Any, parsed: dict[str, Any], model: Any, **_: Any) -> None:
    if http_response.status_code == 200:
        body = json.loads(http_response.content)
        assert shapes.check_response(model.name, body) == []


def images() -> Images:
    """One image whose ENTRYPOINT is container_program.py."""
    start = ImageStart(("python", str(PROGRAM)), (), {"FROM_IMAGE": "yes"})
    return Images(REPOSITORY, overrides={IMAGE: Image(start, REPOSITORY)})


class Cloud:
    """What a test holds: the service, its clients, the bus."""

    def __init__(self, service: SageMakerService, url: str, s3: Any, bus: Bus, state: Path) -> None:
        self.service = service
        self.url = url
        self.sagemaker = client(url)
        self.runtime = client(url, "sagemaker-runtime")
        self.s3 = s3
        self.bus = bus
        self.state = state

    def put(self, key: str, body: Any) -> str:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        return f"s3://{BUCKET}/{key}"

    def read(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def pipeline(self, *steps: dict[str, Any], parameters: Sequence[dict[str, Any]] = (), name: str = "chain") -> str:
        text = json.dumps({"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)})
        answer = self.sagemaker.create_pipeline(PipelineName=name, PipelineDefinition=text, RoleArn=ROLE)
        return str(answer["PipelineArn"])

    def start(self, name: str = "chain", **parameters: str) -> str:
        given = [{"Name": key, "Value": value} for key, value in parameters.items()]
        answer = self.sagemaker.start_pipeline_execution(PipelineName=name, PipelineParameters=given)
        return str(answer["PipelineExecutionArn"])

    def end(self, arn: str, seconds: float = 60.0) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            answer = self.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            return answer if answer["PipelineExecutionStatus"] in ("Succeeded", "Failed", "Stopped") else None

        return dict(wait_until(f"the end of {arn}", ended, seconds))

    def steps(self, arn: str) -> dict[str, dict[str, Any]]:
        answer = self.sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn, SortOrder="Ascending")
        return {step["StepName"]: step for step in answer["PipelineExecutionSteps"]}


@contextmanager
def running_cloud(state: Path, s3: Any, *, bus: Bus | None = None, limits: Limits | None = None) -> Iterator[Cloud]:
    """Serve until the block ends; a second call with the same ``state`` is a restart."""
    made: list[SageMakerService] = []
    bus = bus or Bus()

    def factory(backplane: Backplane) -> SageMakerService:
        made.append(SageMakerService(backplane, images=images(), limits=limits))
        return made[0]

    def aws(name: str) -> Any:
        return s3 if name == "s3" else client(None, name)

    with serve_alone(factory, state, aws=aws, emit=bus.emit) as url:
        yield Cloud(made[0], url, s3, bus, state)


def processing(name: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """A Processing step whose program gets ``arguments``; its output ``out`` goes to the execution's own prefix."""
    uri = {
        "Std:Join": {"On": "/", "Values": [f"s3://{BUCKET}/executions", {"Get": "Execution.PipelineExecutionId"}, name]}
    }
    output = {"S3Uri": uri, "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
    return {
        "Name": name,
        "Type": "Processing",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
            },
            "AppSpecification": {"ImageUri": IMAGE, "ContainerArguments": list(arguments) or ["nothing"]},
            "RoleArn": ROLE,
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
            **more.pop("arguments", {}),
        },
        **more,
    }


def training(name: str, data: Any, hyperparameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A Training step with one channel ``dataset``."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": data, "S3DataDistributionType": "FullyReplicated"}}
    return {
        "Name": name,
        "Type": "Training",
        "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
            },
            "HyperParameters": hyperparameters or {"epochs": "1"},
            "RoleArn": ROLE,
            "InputDataConfig": [{"ChannelName": "dataset", "DataSource": source}],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/models"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            **more.pop("arguments", {}),
        },
        **more,
    }


def registration(name: str, data: Any) -> dict[str, Any]:
    """A RegisterModel step."""
    return {
        "Name": name,
        "Type": "RegisterModel",
        "Arguments": {
            "ModelPackageGroupName": "ahi-models",
            "InferenceSpecification": {
                "Containers": [{"Image": IMAGE, "ModelDataUrl": data}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "ModelApprovalStatus": "PendingManualApproval",
        },
    }


def condition(name: str, conditions: list[Any], if_steps: list[Any], else_steps: list[Any]) -> dict[str, Any]:
    """A Condition step."""
    arguments = {"Conditions": conditions, "IfSteps": if_steps, "ElseSteps": else_steps}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def program_pids(state: Path) -> list[int]:
    """Processes whose container root lies under the service's state."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"AHIFLOW_CONTAINER_ROOT={state}".encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found
