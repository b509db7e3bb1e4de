"""From an operation's result, or its error, to an HTTP response (rest-json)."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from localcloud.healthimaging.errors import ServiceError
from localcloud.service import Response


def of_result(operation: Any, result: dict[str, Any]) -> Response:
    """Serialise ``result`` by the output shape: header members, a raw payload, or one JSON object.

    None members are left out. Timestamps are epoch seconds, already numbers.
    """
    shape = operation.output_shape
    headers = {"x-amzn-RequestId": str(uuid4())}
    document: dict[str, Any] = {}
    payload = shape.serialization.get("payload")
    for name, value in result.items():
        member = shape.members[name]
        if value is None or name == payload:
            continue
        if member.serialization.get("location") == "header":
            headers[member.serialization["name"]] = str(value)
        else:
            document[member.serialization.get("name", name)] = value
    if payload:
        return Response(operation.http["responseCode"], result[payload], headers)
    headers["Content-Type"] = "application/json"
    return Response(operation.http["responseCode"], json.dumps(document).encode(), headers)


def of_error(error: ServiceError) -> Response:
    """Serialise an error: its code in ``x-amzn-ErrorType``, ``{"message": ...}`` as the body."""
    headers = {
        "Content-Type": "application/json",
        "x-amzn-ErrorType": error.code,
        "x-amzn-RequestId": str(uuid4()),
    }
    return Response(error.status, json.dumps({"message": str(error)}).encode(), headers)
