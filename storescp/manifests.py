"""Writes batch manifests, and keeps trying while S3 is away."""

from __future__ import annotations

import threading
import time
from collections import deque

from aws_lambda_powertools import Logger

from ahiflow.batch import BatchManifest
from ahiflow.errors import AhiflowError, ChecksumMismatchError
from storescp.sink import InstanceSink
from storescp.telemetry import count_batch

_FIRST_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 10.0


class ManifestWriter:
    """Writes each manifest at once where possible; a thread retries the others until they are written.

    What is still unwritten when the process ends is found by the recovery of the next one.
    """

    def __init__(self, sink: InstanceSink, log: Logger) -> None:
        self._sink = sink
        self._log = log
        self._waiting: deque[BatchManifest] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._retry, name="manifests", daemon=True)
        self._thread.start()

    def write(self, manifest: BatchManifest) -> None:
        """Write one manifest now, or leave it to the thread. Never raises an AhiflowError."""
        if not self._write(manifest):
            with self._changed:
                self._waiting.append(manifest)
                self._changed.notify_all()

    def stop(self, deadline: float) -> int:
        """Wait until nothing is left or ``time.monotonic()`` passes the deadline; returns how many are unwritten."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, timeout=max(0.0, deadline - time.monotonic()))
            self._stopped = True
            self._changed.notify_all()
            return len(self._waiting)

    def _retry(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopped)
                if self._stopped:
                    return
                self._changed.wait_for(lambda: self._stopped, timeout=pause)
                manifest = self._waiting[0]
            if self._write(manifest):
                pause = _FIRST_RETRY_SECONDS
                with self._changed:
                    self._waiting.popleft()
                    self._changed.notify_all()
            else:
                pause = min(pause * 2, _LONGEST_RETRY_SECONDS)

    def _write(self, manifest: BatchManifest) -> bool:
        """Whether nothing is left to do for the manifest."""
        try:
            self._sink.put_manifest(manifest.batch_id, manifest.model_dump_json(indent=1).encode())
        except ChecksumMismatchError as error:  # another manifest is there and has started its import
            self._log.error("batch manifest refused", batch_id=manifest.batch_id, reason=str(error))
            return True
        except AhiflowError as error:
            self._log.warning("batch manifest waits", batch_id=manifest.batch_id, reason=str(error))
            return False
        count_batch(manifest)
        self._log.info(
            "batch closed",
            batch_id=manifest.batch_id,
            association_id=manifest.association_id,
            closed_because=manifest.closed_because,
            instances=len(manifest.instances),
            refusals=len(manifest.refusals),
            bytes=sum(instance.size for instance in manifest.instances),
        )
        return True
