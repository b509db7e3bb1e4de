"""The pipeline that is deployed is the pipeline that the local cloud runs (design.md promise 7)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from template_support import resources, text

from ahiflow import pipeline_contract as contract

Templates = dict[str, dict[str, Any]]
ROOT = Path(__file__).resolve().parents[2]
DEFINITION = ROOT / "pipeline" / "definition" / "pipeline.json"


def body(templates: Templates) -> tuple[dict[str, Any], dict[str, str]]:
    """The body with tokens written as text, and the text that stands for each placeholder, learnt from its place."""
    (pipeline,) = resources(templates, "AWS::SageMaker::Pipeline").values()
    document = json.loads(text(pipeline["Properties"]["PipelineDefinition"]["PipelineDefinitionBody"]))
    steps = {step["Name"]: step for step in document["Steps"]}
    fetch, curate = steps[contract.STEP_FETCH]["Arguments"], steps[contract.STEP_CURATE]["Arguments"]
    values = {
        "PipelineRoleArn": fetch["RoleArn"],
        "ArtifactsBucketName": fetch["Environment"]["ARTIFACTS_BUCKET_NAME"],
        "FetcherImageUri": fetch["AppSpecification"]["ImageUri"],
        "LearningImageUri": curate["AppSpecification"]["ImageUri"],
        "PseudonymSecretId": fetch["Environment"]["PSEUDONYM_SECRET_ID"],
        "ModelPackageGroupName": "ahi-models",
    }
    assert set(values) == set(contract.PLACEHOLDERS)
    return document, values


def with_placeholders(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: with_placeholders(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [with_placeholders(item, values) for item in value]
    if isinstance(value, str):
        for name, filled in values.items():
            value = value.replace(filled, "${" + name + "}")
    return value


def test_the_deployed_definition_is_the_committed_one(templates: Templates) -> None:
    document, values = body(templates)
    assert with_placeholders(document, values) == json.loads(DEFINITION.read_text())


def test_each_value_is_what_its_name_says(templates: Templates) -> None:
    document, values = body(templates)
    assert "${" not in json.dumps(document).replace("${AWS::", "")
    assert values["ArtifactsBucketName"] == "ahiflow-artifacts-<AWS::AccountId>-us-east-1"
    assert values["PseudonymSecretId"] == "ahiflow/pseudonym"
    assert values["PipelineRoleArn"].startswith("<ExecutionRole")
    assert values["FetcherImageUri"] != values["LearningImageUri"]
    assert ".dkr.ecr." in values["FetcherImageUri"]


def test_a_stage_without_spot_trains_on_demand_and_waits_for_nothing(given_resources: Templates) -> None:
    document, _ = body(given_resources)
    (needed,) = [step for step in document["Steps"] if step["Name"] == contract.STEP_TRAINING_NEEDED]
    (train,) = [step for step in needed["Arguments"]["IfSteps"] if step["Name"] == contract.STEP_TRAIN]
    assert train["Arguments"]["EnableManagedSpotTraining"] is False
    assert "MaxWaitTimeInSeconds" not in train["Arguments"]["StoppingCondition"]


def test_the_pipeline_has_the_name_of_the_reference_system(templates: Templates) -> None:
    (pipeline,) = resources(templates, "AWS::SageMaker::Pipeline").values()
    assert pipeline["Properties"]["PipelineName"] == "ahi-mlops-pipeline"
