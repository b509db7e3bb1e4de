"""``${Name}`` placeholders in data that two places deploy: the CDK app and the local cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ahiflow.errors import ConfigurationError

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z]+)\}")


def fill(document: Any, values: Mapping[str, str]) -> Any:
    """Return a copy of a JSON-like document with every ``${Name}`` in its strings replaced.

    Raises ConfigurationError that names a placeholder without a value. Values are not looked into, so that CDK
    tokens pass through.
    """
    if isinstance(document, str):
        return _PLACEHOLDER.sub(lambda match: _value(match[1], values), document)
    if isinstance(document, Mapping):
        return {key: fill(item, values) for key, item in document.items()}
    if isinstance(document, (list, tuple)):
        return [fill(item, values) for item in document]
    return document


def names(document: Any) -> frozenset[str]:
    """Names of all placeholders in a JSON-like document."""
    if isinstance(document, str):
        return frozenset(_PLACEHOLDER.findall(document))
    if isinstance(document, Mapping):
        return frozenset().union(*(names(item) for item in document.values()))
    if isinstance(document, (list, tuple)):
        return frozenset().union(*(names(item) for item in document))
    return frozenset()


def _value(name: str, values: Mapping[str, str]) -> str:
    if name not in values:
        raise ConfigurationError(f"no value for the placeholder ${{{name}}}")
    return values[name]
