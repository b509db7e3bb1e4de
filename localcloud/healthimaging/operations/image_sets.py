"""GetImageSet, GetImageSetMetadata, GetImageFrame, ListImageSetVersions, DeleteImageSet."""

from __future__ import annotations

import sqlite3
from typing import Any

from localcloud.healthimaging.context import Context
from localcloud.healthimaging.errors import ConflictError, NotFoundError
from localcloud.healthimaging.operations.datastores import require_active
from localcloud.healthimaging.pixels.syntaxes import content_type
from localcloud.healthimaging.state import tasks
from localcloud.healthimaging.state.image_sets import get as require_image_set
from localcloud.healthimaging.state.image_sets import get_version
from localcloud.healthimaging.state.paging import page

TASK_DELETED = "image-set-deleted"


def get(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetImageSet; a deleted image set stays visible as DELETED."""
    row = require_image_set(context.database, params["datastoreId"], params["imageSetId"])
    latest = str(row["version"])
    result = {
        "datastoreId": row["datastore_id"],
        "imageSetId": row["id"],
        "versionId": params.get("versionId", latest),
        "imageSetState": row["state"],
        "imageSetWorkflowStatus": row["workflow"],
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "deletedAt": row["deleted_at"],
        "imageSetArn": context.arns.image_set(row["datastore_id"], row["id"]),
        "isPrimary": bool(row["is_primary"]),
        "lastAccessedAt": row["accessed_at"],
        "storageTier": "FREQUENT_ACCESS",
    }
    if params.get("versionId", latest) != latest:
        version = get_version(context.database, row, params["versionId"])
        result |= {
            "imageSetState": "ACTIVE",
            "imageSetWorkflowStatus": version["workflow"],
            "updatedAt": version["updated_at"],
        }
    return result


def get_metadata(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetImageSetMetadata: the gzip document as stored."""
    row = _readable(context, params)
    version = get_version(context.database, row, params.get("versionId"))
    now = context.database.clock()
    if now - version["created_at"] < context.faults.metadata_inconsistent_seconds:
        raise ConflictError("Requested ImageSet metadata is not consistent yet.")
    data = _read(context, version["metadata_path"], 0, -1)
    with context.database.transaction() as connection:
        connection.execute("UPDATE image_sets SET accessed_at = ? WHERE id = ?", (now, row["id"]))
    return {"imageSetMetadataBlob": data, "contentType": "application/json", "contentEncoding": "gzip"}


def get_frame(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetImageFrame: one frame as stored, of any version."""
    row = _readable(context, params)
    image_frame_id = params["imageFrameInformation"]["imageFrameId"]
    frames = context.database.query("SELECT * FROM frames WHERE image_set_id = ? AND id = ?", row["id"], image_frame_id)
    if not frames:
        raise NotFoundError("Requested ImageFrame does not exist.")
    frame = frames[0]
    data = _read(context, frame["path"], frame["start"], frame["length"])
    return {
        "imageFrameBlob": context.faults.frame(image_frame_id, data),
        "contentType": content_type(frame["transfer_syntax_uid"], context.switches),
    }


def list_versions(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListImageSetVersions, newest first. Its items spell ``ImageSetWorkflowStatus`` with a capital."""
    image_set = require_image_set(context.database, params["datastoreId"], params["imageSetId"])
    rows, token = page(
        context.database,
        "SELECT * FROM versions WHERE image_set_id = ?",
        [image_set["id"]],
        order_by=("version", "image_set_id"),
        descending=True,
        max_results=params.get("maxResults"),
        next_token=params.get("nextToken"),
    )
    return {"imageSetPropertiesList": [_version(image_set, row) for row in rows], "nextToken": token}


def delete(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """DeleteImageSet: LOCKED and DELETING now, DELETED later."""
    require_active(context, params["datastoreId"])
    now = context.database.clock()
    with context.database.transaction() as connection:
        row = connection.execute(
            "SELECT * FROM image_sets WHERE datastore_id = ? AND id = ?", (params["datastoreId"], params["imageSetId"])
        ).fetchone()
        if row is None:
            raise NotFoundError("Requested ImageSet does not exist.")
        if row["state"] == "ACTIVE":
            connection.execute(
                "UPDATE image_sets SET state = 'LOCKED', workflow = 'DELETING', updated_at = ? WHERE id = ?",
                (now, row["id"]),
            )
            _announce(context, connection, "Image Set Deleting", row, "LOCKED", "DELETING")
            tasks.schedule(connection, TASK_DELETED, row["id"], now + context.switches.image_set_deleting_seconds)
        elif row["workflow"] not in ("DELETING", "DELETED"):
            raise ConflictError("ImageSet is LOCKED.")
    context.tasks.wake()
    context.outbox.wake()
    deleted = row["state"] == "DELETED"
    return {
        "datastoreId": row["datastore_id"],
        "imageSetId": row["id"],
        "imageSetState": "DELETED" if deleted else "LOCKED",
        "imageSetWorkflowStatus": "DELETED" if deleted else "DELETING",
    }


def on_deleted(context: Context, image_set_id: str) -> None:
    """Task: remove frames and metadata, then say so. The files go first: a crash between repeats the rest."""
    database = context.database
    paths = {
        row["path"] for row in database.query("SELECT DISTINCT path FROM frames WHERE image_set_id = ?", image_set_id)
    }
    paths |= {
        row["metadata_path"]
        for row in database.query("SELECT metadata_path FROM versions WHERE image_set_id = ?", image_set_id)
    }
    for path in paths:
        (context.state / path).unlink(missing_ok=True)
    now = database.clock()
    with database.transaction() as connection:
        connection.execute("DELETE FROM frames WHERE image_set_id = ?", (image_set_id,))
        connection.execute(
            "UPDATE image_sets SET state = 'DELETED', workflow = 'DELETED', updated_at = ?, deleted_at = ?"
            " WHERE id = ?",
            (now, now, image_set_id),
        )
        row = connection.execute("SELECT * FROM image_sets WHERE id = ?", (image_set_id,)).fetchone()
        _announce(context, connection, "Image Set Deleted", row, "DELETED", "DELETED")
        tasks.finish(connection, TASK_DELETED, image_set_id)
    context.outbox.wake()


def _readable(context: Context, params: dict[str, Any]) -> sqlite3.Row:
    row = require_image_set(context.database, params["datastoreId"], params["imageSetId"])
    if row["workflow"] in ("DELETING", "DELETED"):
        raise NotFoundError("Requested ImageSet does not exist.")
    return row


def _read(context: Context, path: str, start: int, length: int) -> bytes:
    try:
        with (context.state / path).open("rb") as file:
            file.seek(start)
            return file.read(length)
    except FileNotFoundError as error:  # deleted between the look-up and here
        raise NotFoundError("Requested ImageSet does not exist.") from error


def _version(image_set: sqlite3.Row, row: sqlite3.Row) -> dict[str, Any]:
    latest = row["version"] == image_set["version"]
    properties = {
        "imageSetId": image_set["id"],
        "versionId": str(row["version"]),
        "imageSetState": image_set["state"] if latest else "ACTIVE",
        "ImageSetWorkflowStatus": image_set["workflow"] if latest else row["workflow"],
        "createdAt": row["created_at"],
        "updatedAt": image_set["updated_at"] if latest else row["updated_at"],
        "deletedAt": image_set["deleted_at"] if latest else None,
        "isPrimary": bool(image_set["is_primary"]),
    }
    return {name: value for name, value in properties.items() if value is not None}


def _announce(
    context: Context, connection: sqlite3.Connection, detail_type: str, row: sqlite3.Row, state: str, workflow: str
) -> None:
    context.events.image_set(
        connection,
        detail_type,
        datastore_id=row["datastore_id"],
        image_set_id=row["id"],
        version=row["version"],
        is_primary=bool(row["is_primary"]),
        state=state,
        workflow=workflow,
    )
