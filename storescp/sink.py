"""Where instances and manifests become durable."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ahiflow import keys
from ahiflow.aws_errors import translated
from ahiflow.errors import ChecksumMismatchError
from ahiflow.object_store import ObjectStore

# S3 answers this code when a body does not have the checksum that came with it.
_CHECKSUM_HEADER = "ChecksumSHA256"


class InstanceSink(Protocol):
    """What the receiver needs of a store. Thread-safe.

    Contract
        - ``put_instance`` returns only when the object is durable and its SHA-256 was verified by the store.
        - ``put_manifest`` never overwrites: writing the same bytes again is fine, other bytes raise.
        - Everything raises an AhiflowError when the store did not do it; TransientError means: try again.
    """

    def put_instance(self, key: str, body: bytes, sha256: str, facts: Mapping[str, str]) -> None:
        """Store one instance; ``facts`` (ASCII) go with the object, for the recovery after a crash."""

    def put_manifest(self, batch_id: str, body: bytes) -> None:
        """Store a batch manifest. Its creation is the event that starts the import."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object of a batch that has no manifest."""

    body: bytes
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class S3Sink:
    """The ingest bucket. ``s3`` is a boto3 client with few, short retries: the sender is waiting."""

    s3: Any
    bucket: str

    def put_instance(self, key: str, body: bytes, sha256: str, facts: Mapping[str, str]) -> None:
        """Store one instance; S3 refuses the body when it does not have this SHA-256 ("Checking object integrity")."""
        expected = base64.b64encode(bytes.fromhex(sha256)).decode()
        with translated("an instance"):
            answer = self.s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ChecksumSHA256=expected,
                ContentType="application/dicom",
                Metadata=dict(facts),
            )
        if answer.get(_CHECKSUM_HEADER, expected) != expected:
            raise ChecksumMismatchError("S3 confirmed another checksum than was sent")

    def put_manifest(self, batch_id: str, body: bytes) -> None:
        """Store a manifest unless there is one. Raises ChecksumMismatchError when another one is there."""
        store = ObjectStore(self.s3, self.bucket)
        key = keys.batch_manifest_key(batch_id)
        if store.create(key, body):
            return
        if hashlib.sha256(store.get(key).body).digest() != hashlib.sha256(body).digest():
            raise ChecksumMismatchError(f"batch {batch_id} was closed before with another manifest")

    def batches_without_manifest(self) -> list[str]:
        """Ids of the batches that have instances and no manifest, oldest first."""
        closed = {
            key.removeprefix(keys.BATCHES).removesuffix(".json")
            for key in ObjectStore(self.s3, self.bucket).keys(keys.BATCHES)
        }
        opened = []
        with translated("the list of batches"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=keys.INSTANCES, Delimiter="/"
            )
            for page in pages:
                opened += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        ids = (prefix.removeprefix(keys.INSTANCES).rstrip("/") for prefix in opened)
        return sorted(batch_id for batch_id in ids if batch_id not in closed)

    def list_instances(self, batch_id: str) -> list[tuple[str, float]]:
        """Keys of a batch's instances and when each was stored (seconds since the epoch)."""
        found = []
        with translated(f"batch {batch_id}"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=keys.batch_prefix(batch_id)
            )
            for page in pages:
                found += [(entry["Key"], entry["LastModified"].timestamp()) for entry in page.get("Contents", [])]
        return found

    def read(self, object_keys: list[str]) -> Iterator[tuple[str, StoredObject]]:
        """Read objects back, one at a time."""
        for key in object_keys:
            with translated("a stored instance"):
                answer = self.s3.get_object(Bucket=self.bucket, Key=key)
                yield key, StoredObject(answer["Body"].read(), answer.get("Metadata", {}))
