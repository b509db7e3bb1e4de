"""From method and path to operation, derived from botocore's service model: nothing is spelled twice."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel

SERVICE = "medical-imaging"
API_VERSION = "2023-07-19"


@cache
def load_service_model() -> ServiceModel:
    """Load the model that botocore ships; reads a file at the first call."""
    return botocore.session.get_session().get_service_model(SERVICE, API_VERSION)


@dataclass(frozen=True, slots=True)
class Match:
    """The operation a request names and the labels of its path, still text."""

    operation: Any
    labels: dict[str, str]


class Router:
    """Finds the operation of a request among all of the model's."""

    def __init__(self, model: ServiceModel) -> None:
        self._routes = [
            (operation.http["method"], _path_pattern(operation), operation)
            for operation in map(model.operation_model, model.operation_names)
        ]

    def match(self, method: str, path: str) -> Match | None:
        """Return the operation at ``method path`` (percent-decoded, no query), or None where the model has none."""
        for route_method, pattern, operation in self._routes:
            if route_method == method and (found := pattern.fullmatch(path)):
                return Match(operation, found.groupdict())
        return None


def _path_pattern(operation: OperationModel) -> re.Pattern[str]:
    """A label matches one path segment, or the rest of the path where its shape's pattern holds a slash (an ARN)."""
    labels = {
        member.serialization.get("name", name): member
        for name, member in operation.input_shape.members.items()
        if member.serialization.get("location") == "uri"
    }
    pattern = ""
    for part in re.split(r"(\{\w+\})", operation.http["requestUri"].partition("?")[0]):
        name = part[1:-1]
        if part.startswith("{"):
            slashes = "/" in labels[name].metadata.get("pattern", "")
            pattern += f"(?P<{name}>{'.+' if slashes else '[^/]+'})"
        else:
            pattern += re.escape(part)
    return re.compile(pattern)
