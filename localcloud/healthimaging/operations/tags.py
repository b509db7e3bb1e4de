"""ListTagsForResource, TagResource, UntagResource."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from localcloud.healthimaging.context import Context
from localcloud.healthimaging.errors import NotFoundError, ValidationError

_MOST = 50


def put_tags(connection: sqlite3.Connection, arn: str, tags: Mapping[str, str]) -> None:
    """Add or replace tags in the caller's transaction."""
    connection.executemany(
        "INSERT OR REPLACE INTO resource_tags VALUES (?, ?, ?)", [(arn, key, value) for key, value in tags.items()]
    )


def list_(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForResource."""
    _require_resource(context, params["resourceArn"])
    rows = context.database.query(
        "SELECT key, value FROM resource_tags WHERE arn = ? ORDER BY key", params["resourceArn"]
    )
    return {"tags": {row["key"]: row["value"] for row in rows}}


def tag(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """TagResource; at most 50 tags a resource."""
    arn = params["resourceArn"]
    _require_resource(context, arn)
    with context.database.transaction() as connection:
        put_tags(connection, arn, params["tags"])
        (count,) = connection.execute("SELECT count(*) FROM resource_tags WHERE arn = ?", (arn,)).fetchone()
        if count > _MOST:
            raise ValidationError(f"A resource can have {_MOST} tags.")
    return {}


def untag(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """UntagResource; keys that are not there are passed over."""
    arn = params["resourceArn"]
    _require_resource(context, arn)
    with context.database.transaction() as connection:
        connection.executemany(
            "DELETE FROM resource_tags WHERE arn = ? AND key = ?", [(arn, key) for key in params["tagKeys"]]
        )
    return {}


def _require_resource(context: Context, arn: str) -> None:
    datastore_id, _, image_set_id = arn.partition(":datastore/")[2].partition("/imageset/")
    expected = (
        context.arns.image_set(datastore_id, image_set_id) if image_set_id else context.arns.datastore(datastore_id)
    )
    sql, values = "SELECT 1 FROM datastores WHERE id = ?", [datastore_id]
    if image_set_id:
        sql, values = "SELECT 1 FROM image_sets WHERE datastore_id = ? AND id = ?", [datastore_id, image_set_id]
    if arn != expected or not context.database.query(sql, *values):
        raise NotFoundError("Requested resource does not exist.")
