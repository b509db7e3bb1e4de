"""No event is lost between a service's store and the bus, and none overtakes another."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ahiflow.errors import ServiceUnavailableError
from localcloud.outbox import Outbox

DEADLINE_SECONDS = 20.0


class Store:
    """Three events, in memory. ``is_empty`` is set when the last one is dropped."""

    def __init__(self) -> None:
        self.events = {n: {"detail_type": f"event {n}", "resources": [], "detail": {"n": n}} for n in (1, 2, 3)}
        self.is_empty = threading.Event()

    def pending_events(self) -> Sequence[tuple[int, Mapping[str, Any]]]:
        return sorted(self.events.items())[:2]  # less than there is: the outbox must ask again

    def drop_event(self, event_id: int) -> None:
        del self.events[event_id]
        if not self.events:
            self.is_empty.set()


class Bus:
    """Records what it took; raises the errors first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[int] = []
        self.taken: list[int] = []
        self.was_asked = threading.Event()

    def __call__(self, *, source: str, detail_type: str, resources: Any, detail: Mapping[str, Any]) -> None:
        assert (source, detail_type) == ("aws.test", f"event {detail['n']}")
        self.asked.append(detail["n"])
        self.was_asked.set()
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append(detail["n"])


@contextmanager
def running(store: Store, bus: Bus) -> Iterator[Outbox]:
    outbox = Outbox(store, bus, "aws.test")
    outbox.start()
    try:
        yield outbox
    finally:
        outbox.close()


def test_what_an_earlier_process_left_goes_out_in_order() -> None:
    store, bus = Store(), Bus()
    with running(store, bus):
        assert store.is_empty.wait(DEADLINE_SECONDS)
    assert bus.taken == [1, 2, 3]


@pytest.mark.parametrize("error", [ServiceUnavailableError("gone"), KeyError("a defect of the bus")])
def test_a_refused_event_is_tried_again_before_the_next(error: Exception) -> None:
    store, bus = Store(), Bus(error)
    with running(store, bus):
        assert store.is_empty.wait(DEADLINE_SECONDS)
    assert bus.asked == [1, 1, 2, 3]
    assert bus.taken == [1, 2, 3]


def test_what_the_bus_did_not_take_is_kept_when_the_service_stops() -> None:
    store = Store()
    bus = Bus(*[ServiceUnavailableError("gone")] * 1000)
    with running(store, bus) as outbox:
        outbox.wake()
        assert bus.was_asked.wait(DEADLINE_SECONDS)
    assert list(store.events) == [1, 2, 3]
    assert bus.taken == []


def test_an_outbox_that_never_started_can_be_closed() -> None:
    Outbox(Store(), Bus(), "aws.test").close()
