"""Events on their way from a service's store to the bus: none is lost with the process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from localcloud.service import EmitEvent

_LOGGER = logging.getLogger("localcloud.outbox")
_RETRY_SECONDS = 1.0


class EventStore(Protocol):
    """Where a service keeps its events, written in the transaction of the change that they tell of."""

    def pending_events(self) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """The oldest undelivered events, in order, by id; each has EmitEvent's arguments but the source."""

    def drop_event(self, event_id: int) -> None:
        """Forget a delivered event."""


class Outbox:
    """Delivers events in order, each at least once: one leaves the store only when the bus has it."""

    def __init__(self, store: EventStore, emit: EmitEvent, source: str) -> None:
        self._store = store
        self._emit = emit
        self._source = source
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"{source}-outbox", daemon=True)
        # A thread of its own to emit in: whatever is raised there is an undelivered event, and not the end of the loop.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"{source}-emit")

    def start(self) -> None:
        """Begin to deliver, what the last process left over first."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there may be something to deliver."""
        self._wake.set()

    def close(self) -> None:
        """Stop after the event at hand; what is undelivered stays for the next start."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _loop(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            while self._deliver_some():
                pass
            self._wake.wait(_RETRY_SECONDS)

    def _deliver_some(self) -> bool:
        """Deliver what is pending. False when nothing was, or when the bus refused one: it is the first next time."""
        pending = self._store.pending_events()
        for event_id, event in pending:
            if self._closing.is_set():
                return False
            error = self._pool.submit(self._emit, source=self._source, **event).exception()
            if error is not None:
                _LOGGER.warning("event %s not taken by the bus: %s", event["detail_type"], type(error).__name__)
                return False
            self._store.drop_event(event_id)
        return bool(pending)
