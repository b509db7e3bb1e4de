"""EventBridge events: the real envelopes' details, and the table in which they wait for the outbox.

Shapes: developer guide, event-notifications; spelling of ``imageSetId`` as observed (fact sheet 0.1).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.healthimaging.faults import Faults
from localcloud.healthimaging.state.database import Database, insert
from localcloud.healthimaging.switches import Switches
from localcloud.service import Backplane, EmitEvent

SOURCE = "aws.medical-imaging"


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
    """Adds events to the caller's transaction. Call :meth:`localcloud.outbox.Outbox.wake` after it."""

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


class EventTable:
    """The table of undelivered events, a :class:`localcloud.outbox.EventStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending_events(self) -> list[tuple[int, dict[str, Any]]]:
        """All events not yet delivered, oldest first."""
        return [
            (
                row["id"],
                {
                    "detail_type": row["detail_type"],
                    "resources": [row["resource"]],
                    "detail": json.loads(row["detail"]),
                },
            )
            for row in self._database.query("SELECT * FROM outbox ORDER BY id")
        ]

    def drop_event(self, event_id: int) -> None:
        """Forget a delivered event."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM outbox WHERE id = ?", (event_id,))


class FaultyBus:
    """An :class:`localcloud.service.EmitEvent` that loses or duplicates what the faults say."""

    def __init__(self, emit: EmitEvent, faults: Faults) -> None:
        self._emit = emit
        self._faults = faults

    def __call__(self, *, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
        """Put one event, usually once."""
        for _ in range(self._faults.deliveries(detail_type)):
            self._emit(source=source, detail_type=detail_type, resources=resources, detail=detail)
