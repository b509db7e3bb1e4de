"""What the pipeline asks of SageMaker: valid requests, complete placeholders, and the paths that the steps use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from ahiflow import pipeline_contract as contract
from ahiflow import placeholders
from ahiflow.settings import FetcherSettings
from config import STAGES

ROOT = Path(__file__).resolve().parents[3]
DEFINITION: dict[str, Any] = json.loads((ROOT / "pipeline" / "definition" / "pipeline.json").read_text())
VALUES = {
    "PipelineRoleArn": "arn:aws:iam::123456789012:role/ahiflow-execution",
    "ArtifactsBucketName": "artifacts",
    "FetcherImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow:fetcher",
    "LearningImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow:learning",
    "PseudonymSecretId": "ahiflow/pseudonym",
    "ModelPackageGroupName": "ahi-models",
}
PARAMETERS = {
    **{item["Name"]: item["DefaultValue"] for item in DEFINITION["Parameters"] if "DefaultValue" in item},
    contract.PARAMETER_IMAGE_SET_ID: "0" * 32,
    contract.PARAMETER_DATASTORE_ID: "1" * 32,
}
EXECUTION = {
    "PipelineExecutionId": "abcdefghijkl",
    "PipelineExecutionArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abcdefghijkl",
}
OPERATIONS = {
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "RegisterModel": ("CreateModelPackage", None),
}


def steps(document: list[dict[str, Any]] | None = None) -> Iterator[dict[str, Any]]:
    for step in DEFINITION["Steps"] if document is None else document:
        yield step
        if step["Type"] == "Condition":
            yield from steps(step["Arguments"]["IfSteps"] + step["Arguments"]["ElseSteps"])


STEPS = {step["Name"]: step for step in steps()}


def resolve(value: Any) -> Any:
    """What the service puts in: parameters, execution variables, joins; an S3 URI for another step's property."""
    if isinstance(value, list):
        return [resolve(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Std:Join"}:
        return value["Std:Join"]["On"].join(str(resolve(item)) for item in value["Std:Join"]["Values"])
    if set(value) == {"Get"}:
        kind, _, name = value["Get"].partition(".")
        return {"Parameters": PARAMETERS, "Execution": EXECUTION}[kind][name] if kind != "Steps" else "s3://artifacts/x"
    return {key: resolve(item) for key, item in value.items()}


def arguments(name: str) -> dict[str, Any]:
    resolved: dict[str, Any] = resolve(placeholders.fill(STEPS[name]["Arguments"], VALUES))
    return resolved


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if step["Type"] in OPERATIONS])
def test_each_job_is_a_request_that_sagemaker_accepts(name: str) -> None:
    operation, job_name = OPERATIONS[STEPS[name]["Type"]]
    request = {**arguments(name), **({job_name: "a-job"} if job_name else {})}
    shape = botocore.session.get_session().get_service_model("sagemaker").operation_model(operation).input_shape
    assert not ParamValidator().validate(request, shape).generate_report()


def test_the_steps_are_those_of_the_contract() -> None:
    assert list(STEPS) == [
        contract.STEP_FETCH,
        contract.STEP_CURATE,
        contract.STEP_TRAINING_NEEDED,
        contract.STEP_TRAIN,
        contract.STEP_EVALUATE,
        contract.STEP_GATE,
        contract.STEP_REGISTER,
        contract.STEP_REJECT,
    ]


def test_an_execution_without_an_image_set_cannot_start() -> None:
    required = {item["Name"] for item in DEFINITION["Parameters"] if "DefaultValue" not in item}
    assert required == {contract.PARAMETER_IMAGE_SET_ID, contract.PARAMETER_DATASTORE_ID}


def test_every_placeholder_is_used_and_known() -> None:
    assert placeholders.names(DEFINITION) == set(contract.PLACEHOLDERS)


def test_defaults_are_those_of_the_reference_configuration() -> None:
    reference = STAGES["dev"]
    assert PARAMETERS[contract.PARAMETER_PROCESSING_INSTANCE_TYPE] == reference.processing_instance_type
    assert PARAMETERS[contract.PARAMETER_TRAINING_INSTANCE_TYPE] == reference.training_instance_type
    assert PARAMETERS[contract.PARAMETER_MINIMUM_ROC_AUC] == reference.minimum_roc_auc
    assert PARAMETERS[contract.PARAMETER_MAX_FRAMES] == reference.max_frames_per_imageset
    assert PARAMETERS[contract.PARAMETER_OUTPUT_FORMAT] == reference.output_format
    assert PARAMETERS[contract.PARAMETER_MODEL_APPROVAL_STATUS] == "PendingManualApproval"


def test_the_fetcher_gets_settings_that_it_reads() -> None:
    environment = arguments(contract.STEP_FETCH)["Environment"]
    assert FetcherSettings.required_names() <= set(environment) <= FetcherSettings.names()
    assert FetcherSettings.from_environ(environment).artifacts_bucket_name == "artifacts"


def test_two_executions_write_to_different_places() -> None:
    own = f"s3://artifacts/executions/{EXECUTION['PipelineExecutionId']}/"
    for name, step in STEPS.items():
        if step["Type"] == "Processing":
            for output in arguments(name)["ProcessingOutputConfig"]["Outputs"]:
                assert output["S3Output"]["S3Uri"] == own + output["OutputName"]
    training = arguments(contract.STEP_TRAIN)
    assert training["OutputDataConfig"]["S3OutputPath"].startswith(own)
    assert training["CheckpointConfig"]["S3Uri"].startswith(own)
    assert arguments(contract.STEP_REGISTER)["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"].startswith(own)


def test_container_paths_are_those_that_the_steps_use() -> None:
    root = Path(contract.DEFAULT_CONTAINER_ROOT)
    expected = {str(root / contract.CHECKPOINTS)}
    for name, step in STEPS.items():
        if step["Type"] == "Processing":
            job = arguments(name)
            for item in job.get("ProcessingInputs", []):
                path = str(contract.processing_input(item["InputName"], root))
                assert item["S3Input"]["LocalPath"] == path
                expected.add(path)
            for item in job["ProcessingOutputConfig"]["Outputs"]:
                path = str(contract.processing_output(item["OutputName"], root))
                assert item["S3Output"]["LocalPath"] == path
                expected.add(path)
    assert {text for text in strings(DEFINITION) if text.startswith(str(root))} == expected


@pytest.mark.parametrize(
    ("step", "path", "file"),
    [
        (contract.STEP_TRAINING_NEEDED, "training_needed", contract.PROPERTY_FILE_CURATION),
        (contract.STEP_GATE, "gate.passed", contract.PROPERTY_FILE_EVALUATION),
    ],
)
def test_conditions_read_a_property_file_that_an_earlier_step_declares(step: str, path: str, file: str) -> None:
    (condition,) = STEPS[step]["Arguments"]["Conditions"]
    get = condition["LeftValue"]["Std:JsonGet"]
    _, declaring, _, name = get["PropertyFile"]["Get"].split(".")
    assert (get["Path"], name, condition["RightValue"]) == (path, file, 1)
    declared = {item["PropertyFileName"]: item["OutputName"] for item in STEPS[declaring]["PropertyFiles"]}
    outputs = {item["OutputName"] for item in STEPS[declaring]["Arguments"]["ProcessingOutputConfig"]["Outputs"]}
    assert declared[name] in outputs


def test_learning_on_patients_images_cannot_call_out() -> None:
    assert arguments(contract.STEP_TRAIN)["EnableNetworkIsolation"] is True
    assert arguments(contract.STEP_EVALUATE)["NetworkConfig"]["EnableNetworkIsolation"] is True


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def test_the_training_program_takes_the_hyperparameters() -> None:
    pytest.importorskip("torch")
    from pipeline.training.config import TrainingConfig

    given = arguments(contract.STEP_TRAIN)["HyperParameters"]
    assert str(TrainingConfig.from_hyperparameters(given).epochs) == given["epochs"]


def test_the_training_program_prints_what_the_metrics_find() -> None:
    """Lines of pipeline.training: "epoch=3, train_loss=0.41, validation_loss=0.52, validation_roc_auc=0.88"."""
    line = "epoch=3, train_loss=0.410000, validation_loss=5.2e-01, validation_roc_auc=0.880000"
    found = {}
    for metric in arguments(contract.STEP_TRAIN)["AlgorithmSpecification"]["MetricDefinitions"]:
        (found[metric["Name"]],) = re.findall(metric["Regex"], line)
    assert found == {"train_loss": "0.410000", "validation_loss": "5.2e-01", "validation_roc_auc": "0.880000"}
