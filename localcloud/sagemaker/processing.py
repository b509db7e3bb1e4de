"""Processing jobs: the container's file system as SageMaker lays it out below /opt/ml."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from ahiflow.pipeline_contract import DEFAULT_CONTAINER_ROOT
from localcloud.sagemaker import events, transfer
from localcloud.sagemaker.errors import unsupported, validation
from localcloud.sagemaker.images import Image, Images
from localcloud.sagemaker.jobkind import JobNames
from localcloud.sagemaker.process import relocate

_LOCAL_ROOT = f"{DEFAULT_CONTAINER_ROOT}/processing"
_MESSAGE_CHARACTERS = 1024  # shape ExitMessage
_DEFAULT_SECONDS = 86_400.0


class ProcessingKind:
    """Inputs down, entry point, outputs up at the end of a job that succeeded."""

    names = JobNames(
        kind="ProcessingJob",
        resource_type="processing-job",
        event=events.PROCESSING_JOB,
        log_group="/aws/sagemaker/ProcessingJobs",
        started="ProcessingStartTime",
        ended="ProcessingEndTime",
    )

    def check(self, request: dict[str, Any]) -> None:
        """Refuse data sets, feature stores, Continuous uploads, Gzip, Pipe and more than one instance."""
        if request["ProcessingResources"].get("ClusterConfig", {}).get("InstanceCount", 1) != 1:
            raise unsupported("processing jobs on more than one instance")
        for item in request.get("ProcessingInputs", []):
            self._check_input(item)
        for item in request.get("ProcessingOutputConfig", {}).get("Outputs", []):
            output = item.get("S3Output")
            if output is None or item.get("AppManaged"):
                raise unsupported(f"the output {item['OutputName']} without S3Output, or managed by the application")
            if output["S3UploadMode"] != "EndOfJob":
                raise unsupported(f"S3UploadMode {output['S3UploadMode']} (output {item['OutputName']})")
            _check_local_path(output.get("LocalPath"), f"output {item['OutputName']}")

    def _check_input(self, item: dict[str, Any]) -> None:
        name, source = item["InputName"], item.get("S3Input")
        if source is None or item.get("AppManaged"):
            raise unsupported(f"the input {name} without S3Input, or managed by the application")
        if source.get("S3InputMode", "File") != "File":
            raise unsupported(f"S3InputMode {source['S3InputMode']} (input {name})")
        if source.get("S3CompressionType", "None") != "None":
            raise unsupported(f"S3CompressionType {source['S3CompressionType']} (input {name})")
        _check_local_path(source.get("LocalPath"), f"input {name}")

    def describe(self, request: dict[str, Any], arn: str) -> dict[str, Any]:
        """What was asked for, and the ARN; tags are kept apart."""
        return {key: value for key, value in request.items() if key != "Tags"} | {"ProcessingJobArn": arn}

    def stage(self, s3: Any, job: dict[str, Any], root: Path) -> None:
        """``config/``, the inputs, and an empty directory for each output."""
        config = root / "config"
        config.mkdir(parents=True, exist_ok=True)
        (root / "output").mkdir(exist_ok=True)
        (config / "resourceconfig.json").write_text(json.dumps({"current_host": "algo-1", "hosts": ["algo-1"]}))
        (config / "processingjobconfig.json").write_text(json.dumps(job, indent=1))
        for item in job.get("ProcessingInputs", []):
            source = item["S3Input"]
            download = (
                transfer.download_manifest if source["S3DataType"] == "ManifestFile" else transfer.download_prefix
            )
            directory = Path(relocate(source["LocalPath"], root))
            directory.mkdir(parents=True, exist_ok=True)
            download(s3, source["S3Uri"], directory)
        for item in job.get("ProcessingOutputConfig", {}).get("Outputs", []):
            Path(relocate(item["S3Output"]["LocalPath"], root)).mkdir(parents=True, exist_ok=True)

    def image(self, images: Images, job: dict[str, Any]) -> Image:
        """AppSpecification.ImageUri."""
        return images.get(job["AppSpecification"]["ImageUri"])

    def argv(self, image: Image, job: dict[str, Any], root: Path) -> list[str]:
        """ENTRYPOINT and CMD of the image, or what AppSpecification says instead."""
        application = job["AppSpecification"]
        argv = image.processing_argv(application.get("ContainerEntrypoint"), application.get("ContainerArguments"))
        return [relocate(item, root) for item in argv]

    def environment(self, job: dict[str, Any]) -> dict[str, str]:
        """Environment of the job."""
        return dict(job.get("Environment", {}))

    def is_isolated(self, job: dict[str, Any]) -> bool:
        """NetworkConfig.EnableNetworkIsolation."""
        return bool(job.get("NetworkConfig", {}).get("EnableNetworkIsolation"))

    def maximum_seconds(self, job: dict[str, Any]) -> float:
        """MaxRuntimeInSeconds; a day when nothing is said."""
        return float(job.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DEFAULT_SECONDS))

    def while_running(self, s3: Any, job: dict[str, Any], root: Path) -> None:
        """Nothing: outputs go up at the end."""

    def collect(self, s3: Any, job: dict[str, Any], root: Path, *, succeeded: bool, log: Path) -> dict[str, Any]:
        """Send each output's directory; ``output/message`` becomes ExitMessage whatever the outcome."""
        if succeeded:
            for item in job.get("ProcessingOutputConfig", {}).get("Outputs", []):
                output = item["S3Output"]
                transfer.upload_tree(s3, Path(relocate(output["LocalPath"], root)), output["S3Uri"])
        message = _exit_message(root)
        return {"ExitMessage": message} if message else {}

    def failure(self, root: Path, exit_code: int) -> str:
        """The service's form, with what the program left in ``output/message`` before the exit code."""
        message = _exit_message(root).rstrip(".") or "See job logs for more information"
        return f"AlgorithmError: {message}, exit code: {exit_code}"


def _exit_message(root: Path) -> str:
    path = root / "output" / "message"
    return path.read_text(errors="replace").strip()[:_MESSAGE_CHARACTERS] if path.is_file() else ""


def _check_local_path(path: str | None, what: str) -> None:
    if path is None:
        raise validation(f"LocalPath is required: {what}")
    parts = PurePosixPath(path).parts
    if not path.startswith(_LOCAL_ROOT + "/") or ".." in parts:
        raise validation(f"LocalPath must lie under {_LOCAL_ROOT}: {what} has {path}")
