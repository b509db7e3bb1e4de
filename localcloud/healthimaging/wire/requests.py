"""From an HTTP request to an operation's parameters, by the locations its input shape gives (rest-json)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.healthimaging.errors import ValidationError
from localcloud.healthimaging.wire.routing import Match
from localcloud.healthimaging.wire.validation import require_valid


def parse(match: Match, query: Mapping[str, Sequence[str]], body: bytes) -> dict[str, Any]:
    """Return the validated parameters under the model's member names.

    Raises ValidationError naming the member for anything that the input shape does not allow. Members that the shape
    does not know are passed over, as the service does.
    """
    shape = match.operation.input_shape
    payload = shape.serialization.get("payload")
    params: dict[str, Any] = {}
    document = _json(body) if body.strip() else None
    for name, member in shape.members.items():
        wire_name = member.serialization.get("name", name)
        location = member.serialization.get("location")
        if location == "uri":
            params[name] = match.labels[wire_name]
        elif location == "querystring":
            if wire_name in query:
                params[name] = _from_query(member, query[wire_name], name)
        elif payload == name:
            if document is not None:
                params[name] = _known(member, document)
        elif payload is None and isinstance(document, dict) and document.get(wire_name) is not None:
            params[name] = _known(member, document[wire_name])
    if payload is None and document is not None and not isinstance(document, dict):
        raise ValidationError("The request body must be a JSON object.")
    require_valid(shape, params)
    return params


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValidationError("The request body is not JSON.") from error


def _from_query(member: Any, values: Sequence[str], name: str) -> Any:
    if member.type_name == "list":
        return list(values)
    text = values[0] if values else ""
    if member.type_name in ("integer", "long"):
        try:
            return int(text)
        except ValueError as error:
            raise ValidationError(f"Value at '{name}' must be an integer.") from error
    if member.type_name == "boolean":
        if text not in ("true", "false"):
            raise ValidationError(f"Value at '{name}' must be true or false.")
        return text == "true"
    return text


def _known(shape: Any, value: Any) -> Any:
    """Copy ``value`` without unknown members and nulls; blobs become bytes. Wrong types pass: validation names them."""
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        return {
            members[key][0]: _known(members[key][1], item)
            for key, item in value.items()
            if key in members and item is not None
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_known(shape.member, item) for item in value]
    if shape.type_name == "blob" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValidationError(f"Value of {shape.name} is not base64.") from error
    return value
