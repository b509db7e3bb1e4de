"""Training jobs: channels, hyperparameters, checkpoints, model.tar.gz, metrics from the log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ahiflow.errors import ConfigurationError
from ahiflow.pipeline_contract import DEFAULT_CONTAINER_ROOT
from ahiflow.s3uri import S3Uri
from localcloud.sagemaker import events, transfer
from localcloud.sagemaker.context import now
from localcloud.sagemaker.errors import JobFailedError, unsupported, validation
from localcloud.sagemaker.images import Image, Images, program_argv
from localcloud.sagemaker.jobkind import JobNames
from localcloud.sagemaker.process import relocate

_REASON_CHARACTERS = 1024  # shape FailureReason
_DEFAULT_SECONDS = 86_400.0
_NOT_SUPPORTED = ("ServerlessJobConfig", "ModelPackageConfig", "SessionChainingConfig")


class TrainingKind:
    """Inputs down, ``train``, model and output archives up."""

    names = JobNames(
        kind="TrainingJob",
        resource_type="training-job",
        event=events.TRAINING_JOB,
        log_group="/aws/sagemaker/TrainingJobs",
        started="TrainingStartTime",
        ended="TrainingEndTime",
    )

    def __init__(self) -> None:
        self._sent: dict[str, dict[Path, tuple[int, int]]] = {}

    def check(self, request: dict[str, Any]) -> None:
        """Refuse algorithms without an image, clusters, and input modes other than File."""
        for member in _NOT_SUPPORTED:
            if member in request:
                raise unsupported(f"{member} of CreateTrainingJob")
        algorithm = request.get("AlgorithmSpecification", {})
        if "TrainingImage" not in algorithm:
            raise unsupported("training without AlgorithmSpecification.TrainingImage")
        resources = request.get("ResourceConfig", {})
        if resources.get("InstanceCount", 1) != 1 or "InstanceGroups" in resources:
            raise unsupported("training jobs on more than one instance")
        if request["OutputDataConfig"].get("CompressionType", "GZIP") != "GZIP":
            raise unsupported("OutputDataConfig.CompressionType NONE")
        for metric in algorithm.get("MetricDefinitions", []):
            _compile_metric(metric)
        for channel in request.get("InputDataConfig", []):
            _check_channel(channel, algorithm["TrainingInputMode"])
        spot, stop = request.get("EnableManagedSpotTraining"), request.get("StoppingCondition", {})
        if spot and stop.get("MaxWaitTimeInSeconds", 0) < stop.get("MaxRuntimeInSeconds", _DEFAULT_SECONDS):
            raise validation("Managed spot training needs MaxWaitTimeInSeconds, at least MaxRuntimeInSeconds")

    def describe(self, request: dict[str, Any], arn: str) -> dict[str, Any]:
        """What was asked for, the ARN, and where the model will lie."""
        uri = f"{request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{request['TrainingJobName']}/output"
        created = now()
        return {key: value for key, value in request.items() if key != "Tags"} | {
            "TrainingJobArn": arn,
            "ModelArtifacts": {"S3ModelArtifacts": f"{uri}/model.tar.gz"},
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [{"Status": "Starting", "StartTime": created}],
        }

    def stage(self, s3: Any, job: dict[str, Any], root: Path) -> None:
        """``input/config/``, ``input/data/<channel>/``, ``model/``, ``output/``, and the checkpoints so far."""
        config = root / "input" / "config"
        config.mkdir(parents=True, exist_ok=True)
        for directory in ("model", "output/data"):
            (root / directory).mkdir(parents=True, exist_ok=True)
        channels = job.get("InputDataConfig", [])
        documents: dict[str, Any] = {
            "hyperparameters": job.get("HyperParameters", {}),
            "resourceconfig": _resource_config(job),
            "inputdataconfig": {channel["ChannelName"]: _channel_config(channel) for channel in channels},
        }
        for name, document in documents.items():
            (config / f"{name}.json").write_text(json.dumps(document, indent=1))
        for channel in channels:
            source = channel["DataSource"]["S3DataSource"]
            directory = root / "input" / "data" / channel["ChannelName"]
            directory.mkdir(parents=True, exist_ok=True)
            download = (
                transfer.download_manifest if source["S3DataType"] == "ManifestFile" else transfer.download_prefix
            )
            download(s3, source["S3Uri"], directory)
        self._stage_checkpoints(s3, job, root)

    def _stage_checkpoints(self, s3: Any, job: dict[str, Any], root: Path) -> None:
        if "CheckpointConfig" not in job:
            return
        directory = _checkpoint_directory(job, root)
        directory.mkdir(parents=True, exist_ok=True)
        uri = _parse(job["CheckpointConfig"]["S3Uri"])
        if s3.list_objects_v2(Bucket=uri.bucket, Prefix=uri.key, MaxKeys=1).get("KeyCount"):
            transfer.download_prefix(s3, str(uri), directory)
        self._sent[job["TrainingJobName"]] = {path: _mark(path) for path in directory.rglob("*") if path.is_file()}

    def image(self, images: Images, job: dict[str, Any]) -> Image:
        """AlgorithmSpecification.TrainingImage."""
        return images.get(job["AlgorithmSpecification"]["TrainingImage"])

    def argv(self, image: Image, job: dict[str, Any], root: Path) -> list[str]:
        """``<ENTRYPOINT> train``, or ContainerEntrypoint with ContainerArguments."""
        algorithm = job["AlgorithmSpecification"]
        own = algorithm.get("ContainerEntrypoint")
        if not own:
            return image.command_argv("train")
        return [relocate(item, root) for item in program_argv([*own, *algorithm.get("ContainerArguments", [])])]

    def environment(self, job: dict[str, Any]) -> dict[str, str]:
        """Environment of the job, and the two variables that the service itself sets."""
        own = {"TRAINING_JOB_NAME": job["TrainingJobName"], "TRAINING_JOB_ARN": job["TrainingJobArn"]}
        return {**job.get("Environment", {}), **own}

    def is_isolated(self, job: dict[str, Any]) -> bool:
        """EnableNetworkIsolation."""
        return bool(job.get("EnableNetworkIsolation"))

    def maximum_seconds(self, job: dict[str, Any]) -> float:
        """MaxRuntimeInSeconds; a day when nothing is said."""
        return float(job.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DEFAULT_SECONDS))

    def while_running(self, s3: Any, job: dict[str, Any], root: Path) -> None:
        """Send checkpoints that changed."""
        if "CheckpointConfig" not in job:
            return
        directory = _checkpoint_directory(job, root)
        sent = self._sent.setdefault(job["TrainingJobName"], {})
        marks = {path: _mark(path) for path in directory.rglob("*") if path.is_file()}
        changed = {path for path, mark in marks.items() if sent.get(path) != mark}
        transfer.upload_tree(s3, directory, job["CheckpointConfig"]["S3Uri"], changed.__contains__)
        sent.update({path: marks[path] for path in changed})

    def collect(self, s3: Any, job: dict[str, Any], root: Path, *, succeeded: bool, log: Path) -> dict[str, Any]:
        """Checkpoints and ``output.tar.gz`` whatever the outcome, ``model.tar.gz`` unless the program failed."""
        self.while_running(s3, job, root)
        self._sent.pop(job["TrainingJobName"], None)
        artifacts = job["ModelArtifacts"]["S3ModelArtifacts"]
        if any((root / "output" / "data").iterdir()):
            transfer.upload_archive(s3, root / "output" / "data", f"{artifacts.rpartition('/')[0]}/output.tar.gz")
        if succeeded:
            transfer.upload_archive(s3, root / "model", artifacts)
        metrics = _final_metrics(job, log)
        return {"FinalMetricDataList": metrics} if metrics else {}

    def failure(self, root: Path, exit_code: int) -> str:
        """What the program left in ``output/failure``, in the service's form."""
        path = root / "output" / "failure"
        text = path.read_text(errors="replace").strip()[:_REASON_CHARACTERS] if path.is_file() else ""
        return f"AlgorithmError: {text or 'See job logs for more information'}, exit code: {exit_code}"


def _check_channel(channel: dict[str, Any], default_mode: str) -> None:
    name = channel["ChannelName"]
    source = channel["DataSource"].get("S3DataSource")
    if source is None or source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
        raise unsupported(f"the channel {name}: S3DataSource with S3Prefix or ManifestFile only")
    if channel.get("InputMode", default_mode) != "File":
        raise unsupported(f"input mode {channel.get('InputMode', default_mode)} (channel {name})")
    if channel.get("CompressionType", "None") != "None" or channel.get("RecordWrapperType", "None") != "None":
        raise unsupported(f"compression or RecordIO (channel {name})")


def _compile_metric(metric: dict[str, str]) -> re.Pattern[str]:
    try:
        return re.compile(metric["Regex"])
    except re.error as error:
        raise validation(f"The regex of the metric {metric['Name']} is not valid: {error}") from error


def _final_metrics(job: dict[str, Any], log: Path) -> list[dict[str, Any]]:
    """The last value of each metric: group 1 of its regex, else the whole match."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    found = []
    for metric in job["AlgorithmSpecification"].get("MetricDefinitions", []):
        matches = list(_compile_metric(metric).finditer(text))
        if matches:
            last = matches[-1]
            try:
                value = float(last[1] if last.re.groups else last[0])
            except (TypeError, ValueError):
                continue  # the service, too, drops what is no number
            found.append({"MetricName": metric["Name"], "Value": value, "Timestamp": now()})
    return found


def _resource_config(job: dict[str, Any]) -> dict[str, Any]:
    return {
        "current_host": "algo-1",
        "current_instance_type": job.get("ResourceConfig", {}).get("InstanceType", ""),
        "hosts": ["algo-1"],
        "network_interface_name": "eth0",
    }


def _channel_config(channel: dict[str, Any]) -> dict[str, str]:
    config = {
        "TrainingInputMode": "File",
        "S3DistributionType": channel["DataSource"]["S3DataSource"].get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": "None",
    }
    return config | ({"ContentType": channel["ContentType"]} if "ContentType" in channel else {})


def _checkpoint_directory(job: dict[str, Any], root: Path) -> Path:
    return Path(relocate(job["CheckpointConfig"].get("LocalPath", f"{DEFAULT_CONTAINER_ROOT}/checkpoints"), root))


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _parse(uri: str) -> S3Uri:
    try:
        return S3Uri.parse(uri)
    except ConfigurationError as error:
        raise JobFailedError(f"ClientError: {error}") from error
