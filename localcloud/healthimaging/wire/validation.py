"""Values against botocore shapes: required, types, lengths, ranges, patterns, enumerations, unions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from typing import Any

from localcloud.healthimaging.errors import ValidationError

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float, datetime),
    "blob": (bytes, bytearray),
    "structure": (dict,),
    "list": (list,),
    "map": (dict,),
}


def require_valid(shape: Any, value: Any) -> None:
    """Raise ValidationError with every broken constraint, in the wording AWS services share. Values are not quoted."""
    problems = list(problems_of(shape, value, ""))
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise ValidationError(f"{len(problems)} validation {noun} detected: " + "; ".join(problems))


def problems_of(shape: Any, value: Any, path: str) -> Iterator[str]:
    """Yield one line for each way in which ``value`` breaks ``shape``; ``path`` names where."""
    accepted = _TYPES[shape.type_name]
    fits: bool = isinstance(value, accepted)
    if not fits or (isinstance(value, bool) and bool not in accepted):
        yield f"Value at '{path}' failed to satisfy constraint: Member must be of type {shape.type_name}"
        return
    yield from _limits(shape, value, path)
    if shape.type_name == "structure":
        yield from _structure(shape, value, path)
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            yield from problems_of(shape.member, item, f"{path}.{index + 1}.member")
    elif shape.type_name == "map":
        for key, item in value.items():
            yield from problems_of(shape.key, key, f"{path}.key")
            yield from problems_of(shape.value, item, f"{path}.value")


def _structure(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name in shape.required_members:
        if name not in value:
            yield f"Value at '{prefix}{name}' failed to satisfy constraint: Member must not be null"
    if getattr(shape, "is_tagged_union", False) and len(value) != 1:
        yield f"Value at '{path}' failed to satisfy constraint: Exactly one member must be set"
    for name, item in value.items():
        yield from problems_of(shape.members[name], item, prefix + name)


def _limits(shape: Any, value: Any, path: str) -> Iterator[str]:
    failed = f"Value at '{path}' failed to satisfy constraint: Member must"
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    measured = value if shape.type_name in ("integer", "long", "float", "double") else None
    unit = "value"
    if shape.type_name in ("string", "blob", "list", "map"):
        measured, unit = len(value), "length"
    if measured is not None and low is not None and measured < low:
        yield f"{failed} have {unit} greater than or equal to {low}"
    if measured is not None and high is not None and measured > high:
        yield f"{failed} have {unit} less than or equal to {high}"
    if shape.type_name != "string":
        return
    if (pattern := shape.metadata.get("pattern")) and not _compiled(pattern).fullmatch(value):
        yield f"{failed} satisfy regular expression pattern: {pattern}"
    if shape.enum and value not in shape.enum:
        yield f"{failed} satisfy enum value set: [{', '.join(shape.enum)}]"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace(r"\p{ASCII}", r"[\x00-\x7f]"), re.ASCII)
