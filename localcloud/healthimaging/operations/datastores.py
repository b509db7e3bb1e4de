"""CreateDatastore, GetDatastore, ListDatastores, DeleteDatastore, and what becomes of a data store with time."""

from __future__ import annotations

import json
import sqlite3
from typing import Any
from uuid import uuid4

from localcloud.healthimaging.context import Context
from localcloud.healthimaging.errors import ConflictError, NotFoundError, QuotaExceededError, ValidationError
from localcloud.healthimaging.operations.tags import put_tags
from localcloud.healthimaging.state import tasks
from localcloud.healthimaging.state.database import insert
from localcloud.healthimaging.state.paging import page

TASK_CREATED = "datastore-created"
TASK_DELETED = "datastore-deleted"


def require_datastore(context: Context, datastore_id: str) -> sqlite3.Row:
    """Return a data store in any state. Raises NotFoundError."""
    rows = context.database.query("SELECT * FROM datastores WHERE id = ?", datastore_id)
    if not rows:
        raise NotFoundError("Requested Datastore does not exist.")
    return rows[0]


def require_active(context: Context, datastore_id: str) -> sqlite3.Row:
    """Return an ACTIVE data store. Raises NotFoundError, or ConflictError (the class is not public: fact sheet 9.2)."""
    row = require_datastore(context, datastore_id)
    if row["status"] == "DELETED":
        raise NotFoundError("Requested Datastore does not exist.")
    if row["status"] != "ACTIVE":
        raise ConflictError(f"Datastore is not ACTIVE but {row['status']}.")
    return row


def create(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """CreateDatastore; the same clientToken gives the same data store."""
    if "lambdaAuthorizerArn" in params:
        raise ValidationError("lambdaAuthorizerArn (OIDC for DICOMweb) is not supported by the local HealthImaging.")
    request = json.dumps({key: value for key, value in params.items() if key != "clientToken"}, sort_keys=True)
    database, now = context.database, context.database.clock()
    with database.transaction() as connection:
        known = connection.execute(
            "SELECT * FROM datastores WHERE client_token = ?", (params["clientToken"],)
        ).fetchone()
        if known is not None:
            if known["request"] != request:
                raise ConflictError("clientToken was used with other parameters.")
            return {"datastoreId": known["id"], "datastoreStatus": known["status"]}
        (count,) = connection.execute("SELECT count(*) FROM datastores WHERE status != 'DELETED'").fetchone()
        if count >= context.switches.max_datastores:
            raise QuotaExceededError(f"Only {context.switches.max_datastores} data stores are allowed.")
        datastore_id = uuid4().hex
        insert(
            connection,
            "datastores",
            id=datastore_id,
            name=params.get("datastoreName", datastore_id),
            status="CREATING",
            storage_format=params.get("losslessStorageFormat", "HTJ2K"),
            kms_key_arn=params.get("kmsKeyArn"),
            created_at=now,
            updated_at=now,
            client_token=params["clientToken"],
            request=request,
        )
        put_tags(connection, context.arns.datastore(datastore_id), params.get("tags", {}))
        _announce(context, connection, "Data Store Creating", datastore_id, "CREATING")
        tasks.schedule(connection, TASK_CREATED, datastore_id, now + context.switches.datastore_creating_seconds)
    context.tasks.wake()
    context.outbox.wake()
    return {"datastoreId": datastore_id, "datastoreStatus": "CREATING"}


def get(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetDatastore; deleted data stores stay visible."""
    row = require_datastore(context, params["datastoreId"])
    return {
        "datastoreProperties": _summary(context, row)
        | _present(kmsKeyArn=row["kms_key_arn"], losslessStorageFormat=row["storage_format"])
    }


def list_(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListDatastores, oldest first."""
    select, values = "SELECT * FROM datastores WHERE 1", []
    if "datastoreStatus" in params:
        select += " AND status = ?"
        values.append(params["datastoreStatus"])
    rows, token = page(
        context.database,
        select,
        values,
        order_by=("created_at", "id"),
        descending=False,
        max_results=params.get("maxResults"),
        next_token=params.get("nextToken"),
    )
    return {"datastoreSummaries": [_summary(context, row) for row in rows], "nextToken": token}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteDatastore; only an ACTIVE one without image sets or unfinished jobs."""
    datastore_id = params["datastoreId"]
    now = context.database.clock()
    row = require_datastore(context, datastore_id)
    if row["status"] in ("DELETING", "DELETED"):
        return {"datastoreId": datastore_id, "datastoreStatus": row["status"]}
    require_active(context, datastore_id)
    with context.database.transaction() as connection:
        (image_sets,) = connection.execute(
            "SELECT count(*) FROM image_sets WHERE datastore_id = ? AND state != 'DELETED'", (datastore_id,)
        ).fetchone()
        (jobs,) = connection.execute(
            "SELECT count(*) FROM jobs WHERE datastore_id = ? AND status IN ('SUBMITTED', 'IN_PROGRESS')",
            (datastore_id,),
        ).fetchone()
        if image_sets or jobs:
            raise ConflictError("Datastore is not empty: delete its image sets and let its import jobs end first.")
        connection.execute(
            "UPDATE datastores SET status = 'DELETING', updated_at = ? WHERE id = ?", (now, datastore_id)
        )
        _announce(context, connection, "Data Store Deleting", datastore_id, "DELETING")
        tasks.schedule(connection, TASK_DELETED, datastore_id, now + context.switches.datastore_deleting_seconds)
    context.tasks.wake()
    context.outbox.wake()
    return {"datastoreId": datastore_id, "datastoreStatus": "DELETING"}


def on_created(context: Context, datastore_id: str) -> None:
    """Task: CREATING becomes ACTIVE."""
    _become(context, datastore_id, "ACTIVE", "Data Store Created", TASK_CREATED)


def on_deleted(context: Context, datastore_id: str) -> None:
    """Task: DELETING becomes DELETED."""
    _become(context, datastore_id, "DELETED", "Data Store Deleted", TASK_DELETED)


def _become(context: Context, datastore_id: str, status: str, detail_type: str, task: str) -> None:
    with context.database.transaction() as connection:
        connection.execute(
            "UPDATE datastores SET status = ?, updated_at = ? WHERE id = ?",
            (status, context.database.clock(), datastore_id),
        )
        _announce(context, connection, detail_type, datastore_id, status)
        tasks.finish(connection, task, datastore_id)
    context.outbox.wake()


def _announce(
    context: Context, connection: sqlite3.Connection, detail_type: str, datastore_id: str, status: str
) -> None:
    row = connection.execute("SELECT * FROM datastores WHERE id = ?", (datastore_id,)).fetchone()
    context.events.datastore(connection, detail_type, row, status)


def _summary(context: Context, row: sqlite3.Row) -> dict[str, Any]:
    return {
        "datastoreId": row["id"],
        "datastoreName": row["name"],
        "datastoreStatus": row["status"],
        "datastoreArn": context.arns.datastore(row["id"]),
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
    }


def _present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
