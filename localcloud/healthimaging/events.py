"""EventBridge events: the real envelopes' details, and an outbox so that none is lost with the process.

Shapes: developer guide, event-notifications; spelling of ``imageSetId`` as observed (fact sheet 0.1).
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localcloud.healthimaging.faults import Faults
from localcloud.healthimaging.state.database import Database, insert
from localcloud.healthimaging.switches import Switches
from localcloud.service import Backplane

SOURCE = "aws.medical-imaging"
_LOGGER = logging.getLogger("localcloud.healthimaging.events")
_RETRY_SECONDS = 1.0


class Arns:
    """Names resources in this account and region."""

    def __init__(self, backplane: Backplane) -> None:
        self._prefix = f"arn:aws:medical-imaging:{backplane.region}:{backplane.account_id}:datastore/"

    def datastore(self, datastore_id: str) -> str:
        """ARN of a data store."""
        return self._prefix + datastore_id

    def image_set(self, datastore_id: str, image_set_id: str) -> str:
        """ARN of an image set."""
        return f"{self._prefix}{datastore_id}/imageset/{image_set_id}"


class Events:
    """Adds events to the caller's transaction. Call :meth:`Outbox.wake` after it."""

    def __init__(self, arns: Arns, switches: Switches) -> None:
        self._arns = arns
        self._switches = switches

    def datastore(self, connection: sqlite3.Connection, detail_type: str, row: sqlite3.Row, status: str) -> None:
        """Data Store Creating, Created, Creation Failed, Deleting or Deleted."""
        detail = {
            "imagingVersion": "1.0",
            "datastoreId": row["id"],
            "datastoreName": row["name"],
            "datastoreStatus": status,
        }
        self._add(connection, detail_type, self._arns.datastore(row["id"]), detail)

    def job(self, connection: sqlite3.Connection, detail_type: str, row: sqlite3.Row, output_uri: str) -> None:
        """Import Job Submitted, In Progress, Completed or Failed; the status is the type's last words."""
        detail = {
            "imagingVersion": "1.0",
            "datastoreId": row["datastore_id"],
            "jobId": row["id"],
            "jobName": row["name"],
            "jobStatus": detail_type.removeprefix("Import Job ").upper().replace(" ", "_"),
            "inputS3Uri": row["input_uri"],
            "outputS3Uri": output_uri,
        }
        self._add(connection, detail_type, self._arns.datastore(row["datastore_id"]), detail)

    def image_set(
        self,
        connection: sqlite3.Connection,
        detail_type: str,
        *,
        datastore_id: str,
        image_set_id: str,
        version: int,
        is_primary: bool,
        state: str,
        workflow: str,
    ) -> None:
        """Image Set Created, Updated, Deleting, Deleted and so on. ``imageSetVersion`` is a string in events."""
        detail = {
            "imagingVersion": "1.0",
            "isPrimary": is_primary,
            "imageSetVersion": str(version),
            "datastoreId": datastore_id,
            self._switches.event_image_set_id_key: image_set_id,
            "imageSetState": state,
            "imageSetWorkflowStatus": workflow,
        }
        self._add(connection, detail_type, self._arns.image_set(datastore_id, image_set_id), detail)

    def _add(self, connection: sqlite3.Connection, detail_type: str, resource: str, detail: dict[str, Any]) -> None:
        insert(connection, "outbox", detail_type=detail_type, resource=resource, detail=json.dumps(detail))


class Outbox:
    """Gives events to the bus in order, each at least once: a row goes only when the bus has the event."""

    def __init__(self, database: Database, backplane: Backplane, faults: Faults) -> None:
        self._database = database
        self._backplane = backplane
        self._faults = faults
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="healthimaging-events", daemon=True)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="healthimaging-emit")

    def start(self) -> None:
        """Begin, with what an earlier process did not get out."""
        self._thread.start()

    def wake(self) -> None:
        """Send what is new."""
        self._wake.set()

    def close(self) -> None:
        """Stop; what is unsent stays for the next start."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _loop(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            pause = None if self._drain() else _RETRY_SECONDS
            self._wake.wait(pause)

    def _drain(self) -> bool:
        """Send all; False where the bus refused one, which is then the first to be tried again."""
        for row in self._database.query("SELECT * FROM outbox ORDER BY id"):
            if self._closing.is_set():
                return True
            for _ in range(self._faults.deliveries(row["detail_type"])):
                error = self._pool.submit(self._emit, row).exception()
                if error is not None:
                    _LOGGER.warning("event %s not taken by the bus: %s", row["detail_type"], type(error).__name__)
                    return False
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM outbox WHERE id = ?", (row["id"],))
        return True

    def _emit(self, row: sqlite3.Row) -> None:
        self._backplane.emit(
            source=SOURCE,
            detail_type=row["detail_type"],
            resources=[row["resource"]],
            detail=json.loads(row["detail"]),
        )
