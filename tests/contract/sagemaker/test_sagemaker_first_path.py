"""The chain's own shape: fetch, ask, train, register; what breaks here breaks every execution."""

from __future__ import annotations

import io
import json
import tarfile

from sagemaker_support import BUCKET, Cloud, condition, processing, registration, training


def _needed(value: int) -> list[dict[str, object]]:
    source = {
        "Std:JsonGet": {"PropertyFile": {"Get": "Steps.Curate.PropertyFiles.Curation"}, "Path": "training.needed"}
    }
    return [{"Type": "Equals", "LeftValue": source, "RightValue": value}]


def _chain(cloud: Cloud) -> None:
    curate = processing(
        "Curate",
        "write",
        "curation.json",
        {"Get": "Parameters.Curation"},  # type: ignore[arg-type]
        PropertyFiles=[{"PropertyFileName": "Curation", "OutputName": "out", "FilePath": "curation.json"}],
    )
    data = {"Get": "Steps.Curate.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}
    train = training("Train", data)
    register = registration("Register", {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"})
    reject = {
        "Name": "Reject",
        "Type": "Fail",
        "Arguments": {"ErrorMessage": {"Std:Join": {"On": " ", "Values": ["not", "needed:", 0]}}},
    }
    cloud.pipeline(
        curate,
        condition("Needed", _needed(1), [train, register], [reject]),
        parameters=[{"Name": "Curation", "Type": "String"}],
    )


def test_an_image_set_becomes_a_registered_model(cloud: Cloud) -> None:
    _chain(cloud)
    arn = cloud.start(Curation='{"training": {"needed": 1}}')
    assert cloud.end(arn)["PipelineExecutionStatus"] == "Succeeded", cloud.steps(arn)
    steps = cloud.steps(arn)
    assert [(name, step["StepStatus"]) for name, step in steps.items()] == [
        ("Curate", "Succeeded"),
        ("Needed", "Succeeded"),
        ("Train", "Succeeded"),
        ("Register", "Succeeded"),
    ]
    assert steps["Needed"]["Metadata"] == {"Condition": {"Outcome": "True"}}
    package = cloud.sagemaker.describe_model_package(
        ModelPackageName=steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
    )
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["MetadataProperties"]["GeneratedBy"] == arn
    model = cloud.read(package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
    with tarfile.open(fileobj=io.BytesIO(model)) as tar:
        facts = json.load(tar.extractfile("model.json"))  # type: ignore[arg-type]
    assert facts["files"] == ["input/data/dataset/curation.json"]
    job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    described = cloud.sagemaker.describe_training_job(TrainingJobName=job)
    assert [(metric["MetricName"], metric["Value"]) for metric in described["FinalMetricDataList"]] == [("loss", 1.0)]
    execution_id = arn.rpartition("/")[2]
    assert json.loads(cloud.read(f"s3://{BUCKET}/executions/{execution_id}/Curate/curation.json"))


def test_the_other_branch_fails_with_its_message(cloud: Cloud) -> None:
    _chain(cloud)
    arn = cloud.start(Curation='{"training": {"needed": 0}}')
    end = cloud.end(arn)
    assert (end["PipelineExecutionStatus"], end["FailureReason"]) == ("Failed", "not needed: 0")
    steps = cloud.steps(arn)
    assert set(steps) == {"Curate", "Needed", "Reject"}
    assert steps["Reject"]["Metadata"] == {"Fail": {"ErrorMessage": "not needed: 0"}}
    assert cloud.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
