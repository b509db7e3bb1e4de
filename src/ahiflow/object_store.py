"""Small documents in S3, with compare-and-swap. Bodies are bytes; errors are ours.

Conditional writes are S3's own: ``If-None-Match: *`` and ``If-Match: <ETag>`` on PutObject answer 412 when the object
is not as expected, and 409 ConditionalRequestConflict when another writer is just being served ("Conditional writes",
Amazon S3 User Guide). Both mean: another writer was first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from ahiflow.aws_errors import translated
from ahiflow.errors import NotFoundError

_LOST_THE_RACE = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """The bytes of an object and the ETag that ``replace`` compares."""

    body: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """One bucket. ``s3`` is a boto3 client; as thread-safe as that is. Raises what ``ahiflow.aws_errors`` says."""

    s3: Any
    bucket: str

    def get(self, key: str) -> StoredDocument:
        """Read an object. Raises NotFoundError that names the key."""
        with translated(f"s3://{self.bucket}/{key}"):
            answer = self.s3.get_object(Bucket=self.bucket, Key=key)
            return StoredDocument(body=answer["Body"].read(), etag=answer["ETag"])

    def find(self, key: str) -> StoredDocument | None:
        """Read an object, or None when there is none."""
        try:
            return self.get(key)
        except NotFoundError:
            return None

    def put(self, key: str, body: bytes) -> None:
        """Write an object, whatever is there."""
        self._put(key, body)

    def create(self, key: str, body: bytes) -> bool:
        """Write an object unless there is one; whether it was written."""
        return self._put(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, etag: str) -> bool:
        """Write an object if its ETag is still ``etag``; whether it was written."""
        return self._put(key, body, IfMatch=etag)

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key that starts with the prefix, in S3's order."""
        with translated(f"s3://{self.bucket}/{prefix}"):
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    yield entry["Key"]

    def _put(self, key: str, body: bytes, **conditions: str) -> bool:
        with translated(f"s3://{self.bucket}/{key}"):
            try:
                self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json", **conditions)
            except ClientError as error:
                if conditions and error.response["Error"]["Code"] in _LOST_THE_RACE:
                    return False
                raise
        return True
