"""Jobs by hand: the container's file system and environment, outputs, failures, stops."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sagemaker_support import BUCKET, ROLE, Cloud, processing, refusal, training, wait_until


def _run(cloud: Cloud, kind: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    create = getattr(cloud.sagemaker, f"create_{kind}_job")
    describe = getattr(cloud.sagemaker, f"describe_{kind}_job")
    key = f"{kind.capitalize()}JobName"
    create(**arguments, **{key: name})

    def ended() -> dict[str, Any] | None:
        answer = describe(**{key: name})
        return answer if answer[f"{kind.capitalize()}JobStatus"] in ("Completed", "Failed", "Stopped") else None

    return dict(wait_until(f"the end of {name}", ended))


def _processing(*words: str, **more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = processing("x", *words, arguments=more)["Arguments"]
    arguments["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = f"s3://{BUCKET}/out"
    return arguments


def _training(cloud: Cloud, hyperparameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    uri = cloud.put("data/a.txt", b"1")
    return dict(training("x", uri.rpartition("/")[0], hyperparameters, arguments=more)["Arguments"])


def test_nothing_of_the_host_is_in_a_containers_environment(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "someone")
    monkeypatch.setenv("SECRET_OF_THE_HOST", "x")
    job = _run(cloud, "processing", "one", _processing("environment", Environment={"OWN": "/opt/ml/processing/x"}))
    assert job["ProcessingJobStatus"] == "Completed", job
    environment = json.loads(cloud.read(f"s3://{BUCKET}/out/environment.json"))
    root = str(cloud.state / "jobs" / "ProcessingJob" / "one")
    assert environment.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python's own coercion
    assert set(environment) == {
        "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "PYTHONUNBUFFERED", "AWS_ENDPOINT_URL", "AWS_REGION", "FROM_IMAGE",
        "AWS_DISABLE_HOST_PREFIX_INJECTION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
        "AWS_EC2_METADATA_DISABLED", "AHIFLOW_CONTAINER_ROOT", "OWN",
    }  # fmt: skip
    assert environment["AWS_ENDPOINT_URL"] == cloud.url
    assert environment["AHIFLOW_CONTAINER_ROOT"] == root
    assert environment["OWN"] == f"{root}/processing/x"
    assert environment["PATH"].split(":")[0] == str(Path(sys.executable).parent)


def test_network_isolation_takes_aws_away(cloud: Cloud) -> None:
    isolated = _processing("environment", NetworkConfig={"EnableNetworkIsolation": True})
    assert _run(cloud, "processing", "one", isolated)["ProcessingJobStatus"] == "Completed"
    environment = json.loads(cloud.read(f"s3://{BUCKET}/out/environment.json"))
    assert "AWS_ACCESS_KEY_ID" not in environment
    assert environment["AWS_ENDPOINT_URL"] != cloud.url


def test_processing_inputs_lie_where_sagemaker_puts_them(cloud: Cloud) -> None:
    for key in ("in/a.txt", "in/deep/b.txt", "in2/c.txt", "other/d.txt"):
        cloud.put(key, b"x")
    manifest = cloud.put("m.json", [{"prefix": f"s3://{BUCKET}/"}, "in/deep/b.txt"])

    def source(name: str, uri: str, kind: str = "S3Prefix") -> dict[str, Any]:
        local = f"/opt/ml/processing/input/{name}"
        return {
            "InputName": name,
            "S3Input": {"S3Uri": uri, "LocalPath": local, "S3DataType": kind, "S3InputMode": "File"},
        }

    inputs = [
        source("folder", f"s3://{BUCKET}/in/"),
        source("noslash", f"s3://{BUCKET}/in"),
        source("file", f"s3://{BUCKET}/in/a.txt"),
        source("listed", manifest, "ManifestFile"),
    ]
    job = _run(cloud, "processing", "one", _processing("tree", ProcessingInputs=inputs))
    assert job["ProcessingJobStatus"] == "Completed", job
    tree = [path for path in json.loads(cloud.read(f"s3://{BUCKET}/out/tree.json")) if not path.startswith("tmp/")]
    assert tree == [
        "config/processingjobconfig.json",
        "config/resourceconfig.json",
        "processing/input/file/a.txt",
        "processing/input/folder/a.txt",
        "processing/input/folder/deep/b.txt",
        "processing/input/listed/in/deep/b.txt",
        "processing/input/noslash/a.txt",
        "processing/input/noslash/deep/b.txt",
        "processing/input/noslash/in2/c.txt",
    ]


def test_a_missing_input_fails_the_job_by_name(cloud: Cloud) -> None:
    item = {"InputName": "i", "S3Input": {"S3Uri": f"s3://{BUCKET}/nothing/", "LocalPath": "/opt/ml/processing/i",
            "S3DataType": "S3Prefix", "S3InputMode": "File"}}  # fmt: skip
    job = _run(cloud, "processing", "one", _processing("tree", ProcessingInputs=[item]))
    assert job["FailureReason"].startswith(f"ClientError: Data download failed for s3://{BUCKET}/nothing/")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2,
          "VolumeSizeInGB": 1}}}, "more than one instance"),
        ({"ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": {"S3Uri": "s3://b/k",
          "LocalPath": "/opt/ml/processing/o", "S3UploadMode": "Continuous"}}]}}, "S3UploadMode Continuous"),
        ({"ProcessingOutputConfig": {"Outputs": [{"OutputName": "o", "S3Output": {"S3Uri": "s3://b/k",
          "LocalPath": "/opt/ml/processing/../../etc", "S3UploadMode": "EndOfJob"}}]}}, "LocalPath must lie under"),
    ],
    ids=["cluster", "continuous", "outside"],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(cloud: Cloud, change: dict[str, Any], told: str) -> None:
    request = _processing("tree") | change | {"ProcessingJobName": "one"}
    assert told in refusal(cloud.sagemaker.create_processing_job, **request)
    assert cloud.sagemaker.list_processing_jobs()["ProcessingJobSummaries"] == []


def test_training_leaves_model_curves_metrics_and_log(cloud: Cloud) -> None:
    job = _run(cloud, "training", "one", _training(cloud, {"epochs": "2"}))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed"), job
    statuses = [transition["Status"] for transition in job["SecondaryStatusTransitions"]]
    assert statuses == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{BUCKET}/models/one/output/model.tar.gz"
    assert [metric["Value"] for metric in job["FinalMetricDataList"]] == [0.5]
    with tarfile.open(fileobj=io.BytesIO(cloud.read(job["ModelArtifacts"]["S3ModelArtifacts"]))) as tar:
        facts = json.load(tar.extractfile("model.json"))  # type: ignore[arg-type]
    assert facts["job"] == "one"
    assert facts["channels"]["dataset"]["TrainingInputMode"] == "File"
    assert facts["resources"]["hosts"] == ["algo-1"]
    with tarfile.open(fileobj=io.BytesIO(cloud.read(f"s3://{BUCKET}/models/one/output/output.tar.gz"))) as tar:
        assert tar.getnames() == ["curves.json"]
    assert (cloud.state / "logs" / "TrainingJobs" / "one.log").read_text().count("epoch=") == 2
    logs = cloud.service._context.backplane.aws("logs")
    streams = wait_until(
        "the log is in CloudWatch Logs",
        lambda: logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs")["logStreams"],
    )
    assert streams[0]["logStreamName"].startswith("one/algo-1-")
    assert not (cloud.state / "jobs" / "TrainingJob" / "one").exists()


def test_training_tells_its_own_failure_and_keeps_its_files(cloud: Cloud) -> None:
    job = _run(cloud, "training", "one", _training(cloud, {"epochs": "1", "failure": "one class only"}))
    assert job["FailureReason"] == "AlgorithmError: one class only, exit code: 1"
    assert (cloud.state / "jobs" / "TrainingJob" / "one" / "input" / "config" / "hyperparameters.json").exists()
    events = wait_until("told", lambda: cloud.bus.details("SageMaker Training Job State Change")[-1:])
    assert events[0]["TrainingJobStatus"] in ("InProgress", "Failed")


def test_checkpoints_are_resumed_by_the_next_job(cloud: Cloud) -> None:
    config = {"S3Uri": f"s3://{BUCKET}/checkpoints"}
    _run(cloud, "training", "one", _training(cloud, {"epochs": "2"}, CheckpointConfig=config))
    assert cloud.read(f"s3://{BUCKET}/checkpoints/last.txt") == b"2"
    job = _run(cloud, "training", "two", _training(cloud, {"epochs": "5"}, CheckpointConfig=config))
    with tarfile.open(fileobj=io.BytesIO(cloud.read(job["ModelArtifacts"]["S3ModelArtifacts"]))) as tar:
        assert json.load(tar.extractfile("model.json"))["started_at"] == 2  # type: ignore[arg-type]


def test_a_job_that_runs_too_long_is_stopped(cloud: Cloud, tmp_path: Path) -> None:
    hyperparameters = {"epochs": "1", "wait_for": str(tmp_path / "never")}
    request = _training(cloud, hyperparameters, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = _run(cloud, "training", "one", request)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_stop_is_honoured_running_or_waiting(cloud: Cloud, tmp_path: Path) -> None:
    wait = _processing("wait", str(tmp_path / "never"))
    slots = cloud.service._context.limits.job_slots
    for number in range(slots + 1):
        cloud.sagemaker.create_processing_job(**wait, ProcessingJobName=f"Job{number}")
    names = [f"Job{number}" for number in range(slots + 1)]

    def status(name: str) -> str:
        return str(cloud.sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"])

    for name in reversed(names):
        cloud.sagemaker.stop_processing_job(ProcessingJobName=name)
    wait_until("all stopped", lambda: {status(name) for name in names} == {"Stopped"})
    taken = wait | {"ProcessingJobName": "job0"}
    assert "ResourceInUse" in refusal(cloud.sagemaker.create_processing_job, **taken)
    assert "Could not find" in refusal(cloud.sagemaker.describe_processing_job, ProcessingJobName="other")


def test_tags(cloud: Cloud) -> None:
    tags = [{"Key": "stage", "Value": "dev"}]
    request = _processing("nothing") | {"ProcessingJobName": "one", "Tags": tags, "RoleArn": ROLE}
    arn = cloud.sagemaker.create_processing_job(**request)["ProcessingJobArn"]
    cloud.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "prod"}, {"Key": "b", "Value": "1"}])
    cloud.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["b"])
    assert cloud.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "prod"}]
