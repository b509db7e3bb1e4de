"""Gathers what one association brings into batches that one import job takes whole, and closes them.

One association is one batch, unless it passes a limit of import jobs or pauses for long. A batch's instances are stored
as they come; its manifest is written last, whichever way the association ends.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ahiflow import keys
from ahiflow.batch import IMPORT_MAXIMUM_BYTES, IMPORT_MAXIMUM_FILES, BatchInstance, BatchManifest, Refusal
from ahiflow.identifiers import BatchId, parse_batch_id
from storescp.instance import Instance
from storescp.sink import InstanceSink

ClosedBecause = Literal["released", "aborted", "limit", "quiet", "recovered"]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is closed though its association goes on."""

    files: int = IMPORT_MAXIMUM_FILES
    bytes: int = IMPORT_MAXIMUM_BYTES
    quiet_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Association:
    """What a batch says of its association. ``receiver`` and ``process`` say whose batch it is after a crash."""

    association_id: str
    calling_ae_title: str
    called_ae_title: str
    receiver: str
    process: str

    def facts(self) -> dict[str, str]:
        """As object metadata, which must be ASCII."""
        return {
            "association-id": self.association_id,
            "calling-ae-title": self.calling_ae_title,
            "called-ae-title": self.called_ae_title,
            "receiver": self.receiver,
            "process": self.process,
        }


def new_batch_id(now: datetime) -> BatchId:
    """A batch id that sorts by time; the random half keeps receivers apart."""
    return parse_batch_id(f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}")


@dataclass(slots=True)
class _OpenBatch:
    batch_id: BatchId
    opened_at: datetime
    instances: list[BatchInstance] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    confirmed: Counter[str] = field(default_factory=Counter)
    sizes: dict[str, int] = field(default_factory=dict)  # of every key tried, since a failed try may have stored it
    bytes_tried: int = 0

    def key_for(self, instance: Instance) -> str:
        uid = instance.facts.sop_instance_uid
        return keys.instance_key(self.batch_id, uid, duplicate=self.confirmed[uid])

    def try_key(self, key: str, size: int) -> None:
        self.bytes_tried += size - self.sizes.get(key, 0)
        self.sizes[key] = size

    def has_room(self, instance: Instance, limits: BatchLimits) -> bool:
        tried = self.sizes.get(self.key_for(instance))
        files = len(self.sizes) + (tried is None)
        return files <= limits.files and self.bytes_tried + len(instance.body) - (tried or 0) <= limits.bytes


class AssociationBatches:
    """The batches of one association, one open at a time. Thread-safe; a store holds the lock until S3 confirmed."""

    def __init__(
        self,
        association: Association,
        sink: InstanceSink,
        write_manifest: Callable[[BatchManifest], None],
        limits: BatchLimits,
    ) -> None:
        self.association = association
        self._sink = sink
        self._write_manifest = write_manifest
        self._limits = limits
        self._lock = threading.Lock()
        self._open: _OpenBatch | None = None
        self._last_use = time.monotonic()

    @property
    def batch_id(self) -> str | None:
        """Id of the open batch."""
        batch = self._open
        return batch.batch_id if batch else None

    def store(self, instance: Instance) -> None:
        """Store one instance. Returns when it is durable; raises what the sink raises."""
        with self._lock:
            if self._open and not self._open.has_room(instance, self._limits):
                self._close("limit")
            batch = self._batch()
            key = batch.key_for(instance)
            batch.try_key(key, len(instance.body))
            self._sink.put_instance(key, instance.body, instance.sha256, self.association.facts())
            batch.confirmed[instance.facts.sop_instance_uid] += 1
            batch.instances.append(instance.stored_at(key))
            self._last_use = time.monotonic()

    def refuse(self, sop_instance_uid: str, status: int, reason: str) -> None:
        """Note an instance that was not acknowledged."""
        with self._lock:
            refusal = Refusal(sop_instance_uid=sop_instance_uid, status=status, reason=reason)
            self._batch().refusals.append(refusal)
            self._last_use = time.monotonic()

    def close(self, because: ClosedBecause) -> None:
        """Close the open batch, if there is one."""
        with self._lock:
            self._close(because)

    def close_if_quiet(self) -> None:
        """Close the open batch if nothing came for the quiet period and nothing is being stored now."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._last_use >= self._limits.quiet_seconds:
                self._close("quiet")
        finally:
            self._lock.release()

    def _batch(self) -> _OpenBatch:
        if self._open is None:
            now = datetime.now(UTC)
            self._open = _OpenBatch(new_batch_id(now), now)
        return self._open

    def _close(self, because: ClosedBecause) -> None:
        batch = self._open
        if batch is None:
            return
        self._open = None
        if not batch.instances and not batch.refusals:
            return  # the one instance that was tried came to nothing and was not refused either
        self._write_manifest(
            BatchManifest(
                batch_id=batch.batch_id,
                association_id=self.association.association_id,
                calling_ae_title=self.association.calling_ae_title,
                called_ae_title=self.association.called_ae_title,
                opened_at=batch.opened_at,
                closed_at=datetime.now(UTC),
                closed_because=because,
                prefix=keys.batch_prefix(batch.batch_id),
                instances=tuple(batch.instances),
                refusals=tuple(batch.refusals),
            )
        )
