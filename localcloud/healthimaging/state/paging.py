"""Pages by key, not by number: rows that come or go between two calls shift nothing. Tokens are opaque to callers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import sqlite3
from typing import Any

from localcloud.healthimaging.errors import ValidationError
from localcloud.healthimaging.state.database import Database

DEFAULT_PAGE = 50


def page(
    database: Database,
    select: str,
    parameters: list[Any],
    *,
    order_by: tuple[str, str],
    descending: bool,
    max_results: int | None,
    next_token: str | None,
) -> tuple[list[sqlite3.Row], str | None]:
    """Run ``select`` (which ends in a WHERE condition) for one page, ordered by a column and a unique column.

    The token is bound to the query: with other filters it is refused. Raises ValidationError.
    """
    size = max_results or DEFAULT_PAGE
    comparison, direction = ("<", "DESC") if descending else (">", "ASC")
    columns = ", ".join(order_by)
    query_digest = hashlib.sha256(repr((select, parameters, order_by, descending)).encode()).hexdigest()[:16]
    values = list(parameters)
    if next_token is not None:
        select += f" AND ({columns}) {comparison} (?, ?)"
        values += _decode(next_token, query_digest)
    ordered = ", ".join(f"{column} {direction}" for column in order_by)
    rows = database.query(f"{select} ORDER BY {ordered} LIMIT ?", *values, size + 1)
    if len(rows) <= size:
        return rows, None
    last = rows[size - 1]
    return rows[:size], _encode([last[column] for column in order_by], query_digest)


def _encode(position: list[Any], query_digest: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([query_digest, *position]).encode()).decode("ascii")


def _decode(token: str, query_digest: str) -> list[Any]:
    try:
        digest, first, second = json.loads(base64.urlsafe_b64decode(token.encode("ascii")))
    except (ValueError, TypeError, binascii.Error) as error:
        raise ValidationError("nextToken is not valid.") from error
    if digest != query_digest:
        raise ValidationError("nextToken does not belong to this request.")
    return [first, second]
