"""What our services emit, on its way to the default event bus."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ahiflow.errors import ServiceUnavailableError

_TIMEOUT_SECONDS = 30.0


class PutEvent(Protocol):
    """Puts one event on the bus; runs on the event loop."""

    def __call__(self, *, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
        """Raise ServiceUnavailableError when the bus refuses it."""


class EventBus:
    """The :class:`localcloud.service.EmitEvent` of the host.

    Until ``open`` is called, when the bootstrap has made the rules, events wait in memory and in order: one that came
    earlier would match nothing.
    """

    def __init__(self, put: PutEvent, loop: asyncio.AbstractEventLoop, touched: Callable[[], None]) -> None:
        self._put = put
        self._loop = loop
        self._touched = touched
        self._lock = threading.Lock()
        self._waiting: list[dict[str, Any]] | None = []

    def __call__(self, *, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
        """Put one event; returns once the bus has it. Raises ServiceUnavailableError. Worker threads only."""
        event = {"source": source, "detail_type": detail_type, "resources": resources, "detail": detail}
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(event)
                return
        self._deliver(event)

    def open(self) -> None:
        """Deliver what waited, and from now on deliver at once."""
        with self._lock:
            for event in self._waiting or ():
                self._deliver(event)
            self._waiting = None

    def _deliver(self, event: dict[str, Any]) -> None:
        putting = self._on_loop(event)
        try:
            asyncio.run_coroutine_threadsafe(putting, self._loop).result(_TIMEOUT_SECONDS)
        except (RuntimeError, concurrent.futures.TimeoutError) as error:
            putting.close()
            raise ServiceUnavailableError(f"the event bus is gone: {event['detail_type']} was not put") from error
        self._touched()

    async def _on_loop(self, event: dict[str, Any]) -> None:
        self._put(**event)
