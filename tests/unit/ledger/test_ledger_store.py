from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ahiflow.errors import NotFoundError, NotYetConsistentError
from ahiflow.ledger.schema import TABLE, BatchItem, DeploymentItem, ExecutionItem
from ahiflow.ledger.store import Ledger

BATCH_ID = "20261121T010203Z-0123456789abcdef"
IMAGE_SET_ID = "207284eef860ac01c4b2a8de27a6fc11"
MODEL = "arn:aws:sagemaker:us-west-2:111122223333:model-package/ahi-models/1"


class Clock:
    """Every look at it is a second later."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client(
            "dynamodb", region_name="us-west-2", aws_access_key_id="test", aws_secret_access_key="test"
        )
        client.create_table(TableName="ledger", **TABLE)
        yield client


@pytest.fixture
def ledger(dynamodb: Any) -> Ledger:
    return Ledger(dynamodb, "ledger", now=Clock())


def execution(status: Any, **more: Any) -> ExecutionItem:
    return ExecutionItem(image_set_id=IMAGE_SET_ID, image_set_version_id="1", status=status, **more)


def test_of_two_claims_at_the_same_moment_one_is_written(dynamodb: Any, ledger: Ledger) -> None:
    """The other founder of the claim reads nothing, then loses the conditional write, then sees the first."""
    racing = Ledger(dynamodb, "ledger", now=Clock())
    put_item, raced = dynamodb.put_item, []

    def put_item_after_another(**request: Any) -> Any:
        if not raced:
            raced.append(True)
            racing.note_execution(execution("Executing", pipeline_execution_arn="arn:first"))
        return put_item(**request)

    dynamodb.put_item = put_item_after_another
    held = ledger.note_execution(execution("claimed"))
    assert (held.status, held.pipeline_execution_arn) == ("Executing", "arn:first")


def test_a_ledger_item_that_others_keep_writing_comes_again(dynamodb: Any, ledger: Ledger) -> None:
    ledger.note_execution(execution("claimed"))
    error = dynamodb.exceptions.ConditionalCheckFailedException(
        {"Error": {"Code": "ConditionalCheckFailedException", "Message": ""}}, "PutItem"
    )

    def always_lost(**_: Any) -> Any:
        raise error

    dynamodb.put_item = always_lost
    with pytest.raises(NotYetConsistentError):
        ledger.note_execution(execution("Executing"))


def test_a_missing_table_is_named(dynamodb: Any) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        Ledger(dynamodb, "nowhere").batch(BATCH_ID)


def test_items_come_back_as_they_were_written_newest_first_or_since(ledger: Ledger) -> None:
    items = [BatchItem(batch_id=f"{BATCH_ID}{n}", status="closed") for n in range(3)]
    for item in items:
        ledger.move_batch(item.batch_id, item.status)
    assert list(ledger.items(BatchItem)) == items
    assert list(ledger.items(BatchItem, newest_first=True)) == items[::-1]
    assert list(ledger.items(BatchItem, since=datetime(2026, 11, 21, 0, 0, 2, tzinfo=UTC))) == items[1:]


def test_a_change_that_changes_nothing_is_not_written(dynamodb: Any, ledger: Ledger) -> None:
    ledger.note_execution(execution("Succeeded"))
    before = dynamodb.scan(TableName="ledger")["Items"]
    ledger.note_execution(execution("Executing"))
    ledger.note_execution(execution("Succeeded"))
    assert dynamodb.scan(TableName="ledger")["Items"] == before


def test_a_deployment_moves_forward_and_keeps_its_endpoint(ledger: Ledger) -> None:
    ledger.note_deployment(DeploymentItem(model_package_arn=MODEL, status="refused", reason="signature"))
    ledger.note_deployment(DeploymentItem(model_package_arn=MODEL, status="deploying", endpoint_name="ahi-model"))
    ledger.note_deployment(DeploymentItem(model_package_arn=MODEL, status="in-service"))
    found = ledger.deployment(MODEL)
    assert found is not None
    assert (found.status, found.endpoint_name, found.reason) == ("in-service", "ahi-model", None)


def test_a_batch_with_the_largest_item_fits_in_dynamodb(ledger: Ledger) -> None:
    """5,000 instances of as many studies, with UIDs of full length; 400 KB is the service's limit."""
    uids = tuple(f"1.{n:062d}" for n in range(5000))
    item = BatchItem(batch_id=BATCH_ID, status="closed", study_instance_uids=uids)
    assert len(item.model_dump_json()) < 400_000
