"""The ledger over DynamoDB. Every change is read, decided by a pure function and written on condition that nobody else
wrote in between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from ahiflow.aws_errors import translated
from ahiflow.batch import BatchManifest
from ahiflow.errors import InvalidRequestError, NotYetConsistentError, ThrottledError
from ahiflow.ledger import changes, schema
from ahiflow.ledger.schema import (
    BatchItem,
    DeploymentItem,
    ExecutionItem,
    ImportJobItem,
    Item,
    StudyBatchItem,
    StudyImageSetItem,
)
from ahiflow.ledger.transitions import BatchStatus

_RACES_BEFORE_GIVING_UP: Final = 10
# 400-class codes of DynamoDB that pass by themselves (Developer Guide, "Error handling with DynamoDB").
_PASSES: Final = frozenset({"ProvisionedThroughputExceededException", "RequestLimitExceeded", "LimitExceededException"})


_T = TypeVar("_T", bound=Item)


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class Ledger:
    """One ledger table. ``dynamodb`` is a boto3 client; as thread-safe as that is."""

    def __init__(self, dynamodb: Any, table_name: str, now: Callable[[], datetime] = utc_now) -> None:
        self._dynamodb = dynamodb
        self._table_name = table_name
        self._now = now

    def batch(self, batch_id: str) -> BatchItem | None:
        """What is known of a batch."""
        return self._get(BatchItem, schema.batch_key(batch_id))

    def import_job(self, import_job_id: str) -> ImportJobItem | None:
        """What is known of an import job."""
        return self._get(ImportJobItem, schema.import_job_key(import_job_id))

    def execution(self, image_set_id: str, image_set_version_id: str) -> ExecutionItem | None:
        """The execution of an image set version."""
        return self._get(ExecutionItem, schema.execution_key(image_set_id, image_set_version_id))

    def deployment(self, model_package_arn: str) -> DeploymentItem | None:
        """What became of a model package."""
        return self._get(DeploymentItem, schema.deployment_key(model_package_arn))

    def study(self, study_instance_uid: str) -> tuple[list[StudyBatchItem], list[StudyImageSetItem]]:
        """What came of a study and what it was imported to, oldest batch first; two empty lists if it is unknown."""
        found = self._query(
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": schema.study_pk(study_instance_uid)}},
            ConsistentRead=True,
        )
        rows = list(found)
        return (
            [_load(StudyBatchItem, row) for row in rows if row["kind"] == StudyBatchItem.kind],
            [_load(StudyImageSetItem, row) for row in rows if row["kind"] == StudyImageSetItem.kind],
        )

    def note_batch(self, manifest: BatchManifest) -> BatchItem:
        """Note a closed batch and what it brought of each study; its status stays if it has one."""
        item = self._change(BatchItem, schema.batch_key(manifest.batch_id), lambda now: changes.batch(now, manifest))
        for study in changes.study_batches(manifest):
            self._put(study)
        return item

    def move_batch(
        self,
        batch_id: str,
        status: BatchStatus,
        *,
        attempt: int = 1,
        import_job_id: str | None = None,
        reason: str | None = None,
    ) -> BatchItem:
        """Move a batch forward; what is late or a duplicate changes nothing."""
        wanted = BatchItem(
            batch_id=batch_id, status=status, attempt=attempt, import_job_id=import_job_id, reason=reason
        )
        return self._change(BatchItem, wanted.key, lambda now: changes.moved_batch(now, wanted))

    def note_import_job(self, job: ImportJobItem) -> ImportJobItem:
        """Note an import job as the service describes it."""
        return self._change(ImportJobItem, job.key, lambda now: changes.import_job(now, job))

    def note_study_image_set(self, image_set: StudyImageSetItem) -> StudyImageSetItem:
        """Note an image set version of a study."""
        return self._change(StudyImageSetItem, image_set.key, lambda now: changes.study_image_set(now, image_set))

    def note_execution(self, execution: ExecutionItem) -> ExecutionItem:
        """Note what is known of the execution of an image set version, a claim to start it included.

        Returns what the ledger holds then: for a claim, somebody else's execution if there is one.
        """
        return self._change(ExecutionItem, execution.key, lambda now: changes.execution(now, execution))

    def note_deployment(self, deployment: DeploymentItem) -> DeploymentItem:
        """Note what became of an approved model package."""
        return self._change(DeploymentItem, deployment.key, lambda now: changes.deployment(now, deployment))

    def items(self, kind: type[_T], since: datetime | None = None, *, newest_first: bool = False) -> Iterator[_T]:
        """Items of a kind by the time of their last change. The index is eventually consistent."""
        for row in self._query(
            IndexName=schema.INDEX_BY_KIND,
            KeyConditionExpression="#kind = :kind AND updated_at >= :since",
            ExpressionAttributeNames={"#kind": "kind"},
            ExpressionAttributeValues={":kind": {"S": kind.kind}, ":since": {"S": _stamp(since) if since else "0"}},
            ScanIndexForward=not newest_first,
        ):
            yield _load(kind, row)

    def knows_no_batch(self) -> bool:
        """Whether no batch is known, as after the loss of the table."""
        return next(self.items(BatchItem), None) is None

    def _change(self, kind: type[_T], key: tuple[str, str], decide: Callable[[_T | None], _T]) -> _T:
        for _ in range(_RACES_BEFORE_GIVING_UP):
            row = self._row(key)
            current = _load(kind, row) if row else None
            wanted = decide(current)
            if wanted == current or self._put_if_unchanged(wanted, int(row["revision"]) if row else 0):
                return wanted
        raise NotYetConsistentError(f"the ledger's {kind.kind} item is being written by others")

    def _put(self, item: Item) -> None:
        """Write an item that never differs for its key."""
        self._change(type(item), item.key, lambda _: item)

    def _get(self, kind: type[_T], key: tuple[str, str]) -> _T | None:
        row = self._row(key)
        return _load(kind, row) if row else None

    def _row(self, key: tuple[str, str]) -> dict[str, Any] | None:
        with self._answers():
            found = self._dynamodb.get_item(
                TableName=self._table_name, Key={"pk": {"S": key[0]}, "sk": {"S": key[1]}}, ConsistentRead=True
            ).get("Item")
        return _plain(found) if found else None

    def _put_if_unchanged(self, item: Item, revision: int) -> bool:
        row = {
            "pk": item.key[0],
            "sk": item.key[1],
            "kind": item.kind,
            "updated_at": _stamp(self._now()),
            "revision": revision + 1,
            "item": item.model_dump(mode="json"),
        }
        serialize = TypeSerializer().serialize
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if revision:
            condition = {
                "ConditionExpression": "revision = :revision",
                "ExpressionAttributeValues": {":revision": {"N": str(revision)}},
            }
        try:
            self._dynamodb.put_item(
                TableName=self._table_name, Item={name: serialize(value) for name, value in row.items()}, **condition
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            with self._answers():
                raise
        return True

    def _query(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        pages = self._dynamodb.get_paginator("query").paginate(TableName=self._table_name, **arguments)
        with self._answers():
            for page in pages:
                for row in page["Items"]:
                    yield _plain(row)

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            with translated(f"the ledger ({self._table_name})"):
                yield
        except InvalidRequestError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["Error"]["Code"] in _PASSES:
                raise ThrottledError(f"the ledger ({self._table_name}): DynamoDB asks to slow down") from cause
            raise


def _load(kind: type[_T], row: Mapping[str, Any]) -> _T:
    return kind.model_validate_json(json.dumps(row["item"]))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    deserialize = TypeDeserializer().deserialize
    return {name: _without_decimals(deserialize(value)) for name, value in row.items()}


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, dict):
        return {name: _without_decimals(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_decimals(inner) for inner in value]
    return value


def _stamp(moment: datetime) -> str:
    """Text that sorts by time: UTC, microseconds always."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
