"""Closes batches that a crashed receiver left open, so that no acknowledged instance waits for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from aws_lambda_powertools import Logger

from ahiflow import keys
from ahiflow.batch import BatchManifest
from ahiflow.errors import AhiflowError
from storescp.instance import from_part10
from storescp.sink import S3Sink

# A batch of another receiver is its own to close; after this long it is taken for dead. A live one closes quiet
# batches long before (storescp.batches.BatchLimits).
OTHER_RECEIVER_SECONDS = 3600.0
_AGAIN_SECONDS = 3600.0
_RETRY_SECONDS = 5.0


class Recovery:
    """Looks for open batches without an owner: at once, then every hour.

    ``receiver`` is this host and port, which one process at a time can hold: batches of the same receiver from another
    ``process`` have lost theirs.
    """

    def __init__(
        self, sink: S3Sink, write: Callable[[BatchManifest], None], receiver: str, process: str, log: Logger
    ) -> None:
        self._sink = sink
        self._write = write
        self._receiver = receiver
        self._process = process
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stop.set()

    def recover(self) -> int:
        """Close every batch without an owner; returns how many. Raises an AhiflowError when S3 does not answer."""
        recovered = 0
        for batch_id in self._sink.batches_without_manifest():
            if self._stop.is_set():
                break
            stored = self._sink.list_instances(batch_id)
            manifest = self._manifest(batch_id, [key for key, _ in stored], max(at for _, at in stored))
            if manifest:
                self._write(manifest)
                recovered += 1
        return recovered

    def _manifest(self, batch_id: str, object_keys: list[str], newest: float) -> BatchManifest | None:
        facts: dict[str, str] = {}
        instances = []
        for key, stored in self._sink.read(object_keys):
            if not facts and not self._is_abandoned(stored.facts, newest):
                return None
            facts = dict(stored.facts)
            instances.append(from_part10(stored.body).stored_at(key))
        return BatchManifest(
            batch_id=batch_id,
            association_id=facts.get("association-id", ""),
            calling_ae_title=facts.get("calling-ae-title", ""),
            called_ae_title=facts.get("called-ae-title", ""),
            opened_at=datetime.strptime(batch_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
            closed_at=datetime.now(UTC),
            closed_because="recovered",
            prefix=keys.batch_prefix(batch_id),
            instances=tuple(instances),
        )

    def _is_abandoned(self, facts: object, newest: float) -> bool:
        owner = facts if isinstance(facts, dict) else {}
        if owner.get("receiver") == self._receiver:
            return bool(owner.get("process") != self._process)
        return time.time() - newest > OTHER_RECEIVER_SECONDS

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                recovered = self.recover()
            except AhiflowError as error:
                self._log.warning("recovery waits", reason=str(error))
                self._stop.wait(_RETRY_SECONDS)
                continue
            if recovered:
                self._log.info("batches recovered", batches=recovered)
            self._stop.wait(_AGAIN_SECONDS)
