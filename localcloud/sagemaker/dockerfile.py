"""The part of a Dockerfile that says how its image starts: ENTRYPOINT, CMD and ENV of the last stage."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from ahiflow.errors import ConfigurationError

_FROM = re.compile(r"(?:--\S+\s+)*(\S+)(?:\s+as\s+(\S+))?", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(slots=True)
class ImageStart:
    """How an image starts. ``argv`` = entrypoint + command."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


def read_image_start(text: str, name: str) -> ImageStart:
    """Read the instructions. Raises ConfigurationError, naming ``name``, for the shell form: it hides signals."""
    stages: dict[str, ImageStart] = {}
    current = ImageStart()
    for keyword, rest in _instructions(text):
        if keyword == "FROM":
            match = _FROM.fullmatch(rest)
            if match is None:
                raise ConfigurationError(f"{name}: cannot read FROM {rest}")
            base = stages.get(match[1].lower(), ImageStart())
            current = ImageStart(base.entrypoint, base.command, dict(base.environment))
            if match[2]:
                stages[match[2].lower()] = current
        elif keyword == "ENV":
            current.environment.update(_environment(rest, current.environment))
        elif keyword == "ENTRYPOINT":
            current.entrypoint, current.command = _exec_form(rest, keyword, name), ()
        elif keyword == "CMD":
            current.command = _exec_form(rest, keyword, name)
    return current


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    logical = ""
    for line in text.splitlines():
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.endswith("\\"):
            logical += stripped[:-1] + " "
            continue
        keyword, _, rest = (logical + stripped).partition(" ")
        yield keyword.upper(), rest.strip()
        logical = ""


def _exec_form(rest: str, keyword: str, name: str) -> tuple[str, ...]:
    try:
        items = json.loads(rest)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f'{name}: {keyword} must have the exec form ["program", ...]') from error
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ConfigurationError(f'{name}: {keyword} must have the exec form ["program", ...]')
    return tuple(items)


def _environment(rest: str, known: dict[str, str]) -> dict[str, str]:
    first, _, remainder = rest.partition(" ")
    pairs = [(first, remainder.strip())] if "=" not in first else [tuple(i.split("=", 1)) for i in shlex.split(rest)]
    return {str(key): _VARIABLE.sub(lambda m: known.get(m[1] or m[2], ""), str(value)) for key, value in pairs}
