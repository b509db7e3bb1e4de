"""The bootstrap reads the same tables as the CDK app: what they ask for must be there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ahiflow import pipeline_contract, placeholders
from ahiflow.environment import STATE_VARIABLE
from ahiflow.errors import ConfigurationError
from ahiflow.routes import FUNCTIONS, ROUTES
from ahiflow.settings import FUNCTION_SETTINGS, CommandSettings, StoreScpSettings
from config import STAGES, parameter_defaults
from localcloud.bootstrap import functions, learning
from localcloud.bootstrap.plan import Plan
from localcloud.describe import describe, receiver_variables
from localcloud.report import Deployment, Serving

PLAN = Plan(STAGES["local"], "123456789012")
VALUES = PLAN.settings("0" * 32, "key")
SERVING = Serving(
    pid=1,
    endpoint_url="http://127.0.0.1:1",
    account_id="123456789012",
    deployment=Deployment(
        region="us-east-1",
        datastore_id="0" * 32,
        ingest_bucket="in",
        artifacts_bucket="out",
        ledger_table="ledger",
        pipeline_name="p",
        model_package_group_name="g",
        endpoint_name="e",
        approval_key_id="k",
        pseudonym_secret_id="s",
        queue_prefix="ahiflow",
        called_ae_title="AHIFLOW",
    ),
)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_can_read_its_settings(function: str) -> None:
    environment = functions.environment_of(function, VALUES | {"AWS_REGION": "us-east-1"})
    settings = FUNCTION_SETTINGS[function].from_environ(environment)
    assert settings.model_dump()["ledger_table_name"] == "ahiflow-ledger"
    assert environment["AWS_REGION"] == "us-east-1"


def test_every_function_has_settings() -> None:
    assert list(FUNCTION_SETTINGS) == list(FUNCTIONS)


def test_a_setting_that_nobody_provides_is_named() -> None:
    with pytest.raises(ConfigurationError, match="APPROVAL_KEY_ID for the function deploy_model"):
        functions.environment_of("deploy_model", {name: "x" for name in VALUES if name != "APPROVAL_KEY_ID"})


def test_a_missing_zip_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"reconcile is not staged: run .*stage_assets.py"):
        functions.code_of(tmp_path, "reconcile")


def test_every_placeholder_of_the_routes_and_of_the_pipeline_has_a_value() -> None:
    for route in ROUTES:
        placeholders.fill(route.pattern, PLAN.names.route_placeholders("0" * 32))
        assert route.function in FUNCTIONS
    assert set(PLAN.pipeline_placeholders()) == set(pipeline_contract.PLACEHOLDERS)


def test_the_pipeline_gets_its_names_and_defaults(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.json"
    names = parameter_defaults(STAGES["local"])
    parameters = [{"Name": name, "Type": "String", "DefaultValue": "?"} for name in names] + [{"Name": "ImageSetId"}]
    steps = [{"Name": "X", "Type": "Fail", "Image": "${FetcherImageUri}"}]
    path.write_text(json.dumps({"Parameters": parameters, "Steps": steps}))
    document = json.loads(learning.definition(path, PLAN))
    assert document["Steps"][0]["Image"] == "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow/fetcher:local"
    assert {p["Name"]: p["DefaultValue"] for p in document["Parameters"][:-1]} == names
    assert document["Parameters"][-1] == {"Name": "ImageSetId"}


def test_a_setting_for_a_parameter_that_the_pipeline_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.json"
    path.write_text(json.dumps({"Parameters": [{"Name": "ImageSetId"}], "Steps": []}))
    with pytest.raises(ConfigurationError, match="MinimumRocAuc"):
        learning.definition(path, PLAN)


@pytest.mark.parametrize("content", [None, "{"], ids=["missing", "torn"])
def test_a_definition_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "pipeline.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"pipeline\.json"):
        learning.definition(path, PLAN)


def test_the_shell_holds_what_clients_and_the_command_need(tmp_path: Path) -> None:
    described = describe(SERVING, receiver=2, dicom_port=11112, state=tmp_path)
    settings = CommandSettings.from_environ(described.shell)
    assert (settings.ingest_bucket_name, settings.dicom_port, settings.queue_prefix) == ("in", 11112, "ahiflow")
    assert described.shell["AWS_ENDPOINT_URL_MEDICAL_IMAGING"] == "http://127.0.0.1:1"
    assert described.shell["AWS_DISABLE_HOST_PREFIX_INJECTION"] == "true"
    assert described.shell[STATE_VARIABLE] == str(tmp_path)
    assert described.processes == {"localcloud": 1, "storescp": 2}


def test_the_receiver_can_read_its_settings() -> None:
    settings = StoreScpSettings.from_environ(receiver_variables(SERVING, 104))
    assert (settings.ingest_bucket_name, settings.dicom_port, settings.dicom_host) == ("in", 104, "127.0.0.1")
