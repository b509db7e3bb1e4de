"""deploy_model: an approval event is a hint; the signature and the artefact decide, and twice is once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from registry_support import BUCKET, World, make_world

from ahiflow.errors import InvalidRequestError, NotYetConsistentError, SignatureError, WorkFailedError
from ahiflow.ledger.schema import DeploymentItem
from ahiflow.ledger.store import Ledger
from ahiflow.registry import ModelPackage
from lambdas.deploy_model.endpoint import Endpoint
from lambdas.deploy_model.logic import Deployer, deploy_model

EVENT = Path(__file__).resolve().parents[2] / "events" / "model_package_approved.json"
TABLE = "ledger"
ENDPOINT = "ahi-model"
ROLE = "arn:aws:iam::123456789012:role/serving"


@dataclass
class Stage:
    """The world and what deploy_model sees of it."""

    world: World
    deployer: Deployer

    def deploy(self, package: ModelPackage) -> str:
        """Deliver the event, and again when it asks for that."""
        for _ in range(3):
            with suppress(NotYetConsistentError):
                return deploy_model(event_for(package), self.deployer)
        raise NotYetConsistentError("three times")

    def noted(self, package: ModelPackage) -> DeploymentItem | None:
        return self.deployer.ledger.deployment(package.arn)

    def served(self) -> str:
        """ARN of the model package that the endpoint serves."""
        sagemaker = self.world.sagemaker
        config = sagemaker.describe_endpoint(EndpointName=ENDPOINT)["EndpointConfigName"]
        variant = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]
        arn = sagemaker.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]["ModelPackageName"]
        return str(arn)

    def nothing_deployed(self) -> bool:
        return self.world.sagemaker.list_endpoints()["Endpoints"] == [] == self.world.sagemaker.list_models()["Models"]


def event_for(package: ModelPackage) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(EVENT.read_text())
    event["detail"] |= {"ModelPackageArn": package.arn, "ModelPackageGroupName": package.group}
    return event


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with mock_aws():
        world = make_world()

        def update_endpoint(**arguments: str) -> None:  # moto has none
            world.sagemaker.delete_endpoint(EndpointName=arguments["EndpointName"])
            world.sagemaker.create_endpoint(**arguments)

        monkeypatch.setattr(world.sagemaker, "update_endpoint", update_endpoint)
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        attributes = ("pk", "sk", "kind", "updated_at")
        dynamodb.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in attributes],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-kind",
                    "KeySchema": [
                        {"AttributeName": "kind", "KeyType": "HASH"},
                        {"AttributeName": "updated_at", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
        )
        endpoint = Endpoint(world.sagemaker, ENDPOINT, ROLE, "ml.m5.large")
        yield Stage(world, Deployer(world.registry, world.approvals, endpoint, Ledger(dynamodb, TABLE)))


def test_a_signed_approval_is_deployed_once(stage: Stage) -> None:
    package = stage.world.register()
    stage.world.decide(package)
    for _ in range(3):
        assert stage.deploy(package) == package.arn
    assert stage.served() == package.arn
    for listing, member in (("list_models", "Models"), ("list_endpoint_configs", "EndpointConfigs")):
        assert len(getattr(stage.world.sagemaker, listing)()[member]) == 1
    noted = stage.noted(package)
    assert noted and (noted.status, noted.endpoint_name) == ("in-service", ENDPOINT)


def test_the_event_comes_again_until_the_endpoint_serves(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    package = stage.world.register()
    stage.world.decide(package)
    with pytest.raises(NotYetConsistentError, match="is starting"):
        deploy_model(event_for(package), stage.deployer)
    noted = stage.noted(package)
    assert noted and noted.status == "deploying"
    failed = stage.world.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
    failed |= {"EndpointStatus": "Failed", "FailureReason": "the container does not answer /ping"}
    monkeypatch.setattr(stage.world.sagemaker, "describe_endpoint", lambda **_: failed)
    with pytest.raises(WorkFailedError, match="does not answer /ping"):
        deploy_model(event_for(package), stage.deployer)
    noted = stage.noted(package)
    assert noted and noted.status == "failed" and noted.reason and "/ping" in noted.reason


def test_an_endpoint_that_went_back_is_not_updated_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = stage.world.register(), stage.world.register(b"broken")
    stage.world.decide(first)
    stage.deploy(first)
    before = stage.world.sagemaker.describe_endpoint(EndpointName=ENDPOINT) | {"FailureReason": "out of memory"}
    stage.world.decide(second)
    with pytest.raises(NotYetConsistentError):
        deploy_model(event_for(second), stage.deployer)
    monkeypatch.setattr(stage.world.sagemaker, "describe_endpoint", lambda **_: before)
    with pytest.raises(WorkFailedError, match="went back"):
        deploy_model(event_for(second), stage.deployer)
    noted = stage.noted(second)
    assert noted and noted.status == "failed" and noted.reason and "out of memory" in noted.reason


def test_an_unsigned_approval_is_refused_and_noted(stage: Stage) -> None:
    package = stage.world.register()
    stage.world.sagemaker.update_model_package(ModelPackageArn=package.arn, ModelApprovalStatus="Approved")
    with pytest.raises(SignatureError):
        stage.deploy(package)
    noted = stage.noted(package)
    assert noted and noted.status == "refused" and noted.reason and "nobody has signed" in noted.reason
    assert stage.nothing_deployed()


def test_a_changed_artefact_is_not_deployed(stage: Stage) -> None:
    package = stage.world.register()
    stage.world.decide(package)
    stage.world.s3.put_object(Bucket=BUCKET, Key=package.model_data.key, Body=b"poisoned")
    with pytest.raises(SignatureError):
        stage.deploy(package)
    noted = stage.noted(package)
    assert noted and noted.status == "refused"
    assert stage.nothing_deployed()


def test_a_rejection_after_the_event_wins(stage: Stage) -> None:
    package = stage.world.register()
    stage.world.decide(package)
    stage.world.decide(package, "reject")
    stage.deploy(package)
    assert stage.nothing_deployed()


def test_rejecting_what_is_deployed_takes_the_endpoint_down_once(stage: Stage) -> None:
    package = stage.world.register()
    stage.world.decide(package)
    stage.deploy(package)
    stage.world.decide(package, "reject")
    for _ in range(2):
        stage.deploy(package)
    assert stage.world.sagemaker.list_endpoints()["Endpoints"] == []
    noted = stage.noted(package)
    assert noted and noted.status == "withdrawn"
    stage.world.decide(package)
    stage.deploy(package)
    assert stage.served() == package.arn


def test_rejecting_a_model_that_was_replaced_leaves_its_successor_alone(stage: Stage) -> None:
    first, second = stage.world.register(), stage.world.register(b"better")
    for package in (first, second):
        stage.world.decide(package)
        stage.deploy(package)
    stage.world.decide(first, "reject")
    stage.deploy(first)
    assert stage.served() == second.arn


def test_a_later_approval_takes_the_endpoint_and_keeps_it(stage: Stage) -> None:
    """The first one's event comes again when the second is already served: no way back."""
    first, second = stage.world.register(), stage.world.register(b"better")
    stage.world.decide(first)
    stage.deploy(first)
    stage.world.decide(second)
    stage.deploy(second)
    assert stage.served() == second.arn
    stage.deploy(first)
    assert stage.served() == second.arn
    states = [item.status for item in (stage.noted(first), stage.noted(second)) if item]
    assert states == ["replaced", "in-service"]


def test_events_out_of_order_end_with_the_later_approval(stage: Stage) -> None:
    first, second = stage.world.register(), stage.world.register(b"better")
    stage.world.decide(first)
    stage.world.decide(second)
    stage.deploy(second)
    stage.deploy(first)
    assert stage.served() == second.arn


def test_approving_the_old_one_again_brings_it_back(stage: Stage) -> None:
    first, second = stage.world.register(), stage.world.register(b"worse")
    for package in (first, second, first):
        stage.world.decide(package)
        stage.deploy(package)
    assert stage.served() == first.arn


@pytest.mark.parametrize(
    ("status", "error"), [("Updating", NotYetConsistentError), ("Failed", WorkFailedError)], ids=["busy", "failed"]
)
def test_an_endpoint_that_cannot_be_updated_now(
    stage: Stage, status: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stage.world.register(), stage.world.register(b"better")
    stage.world.decide(first)
    stage.deploy(first)
    stage.world.decide(second)
    described = stage.world.sagemaker.describe_endpoint(EndpointName=ENDPOINT) | {"EndpointStatus": status}
    monkeypatch.setattr(stage.world.sagemaker, "describe_endpoint", lambda **_: described)
    with pytest.raises(error):
        stage.deploy(second)


def test_packages_of_another_group_are_not_ours(stage: Stage) -> None:
    event = event_for(stage.world.register())
    event["detail"]["ModelPackageGroupName"] = "somebody-elses"
    with pytest.raises(InvalidRequestError):
        deploy_model(event, stage.deployer)
