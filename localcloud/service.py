"""The seam between the local cloud's host (MiniStack in one process) and the two services written here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are lower case; ``path`` is percent-decoded and has no query."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response. Content-Length is the host's to set."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class EmitEvent(Protocol):
    """Put one AWS service event on the default bus. Thread-safe; returns once the bus has it."""

    def __call__(self, *, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
        """Raise ServiceUnavailableError when the bus does not take it."""


@dataclass(frozen=True, slots=True)
class Backplane:
    """What a service gets from its host.

    ``state`` is a directory of the service's own that survives a restart and ``kill -9``. ``aws(name)`` builds a
    boto3 client for the same local cloud: call it from worker threads only. ``endpoint_url`` is for subprocesses.
    """

    state: Path
    account_id: str
    region: str
    endpoint_url: str
    emit: EmitEvent
    aws: Callable[[str], Any]


class LocalService(Protocol):
    """One emulated AWS service. The host calls ``handle`` in a worker thread, many at a time."""

    signing_names: Sequence[str]

    def start(self) -> None:
        """Begin background work: finish or fail what the last process left unfinished. The endpoint answers."""

    def handle(self, request: Request) -> Response:
        """Answer one request. Never raises for a bad request: errors are the service's own, in its wire form."""

    def close(self) -> None:
        """Stop background work within a few seconds; what is unfinished stays on disk for the next start."""
