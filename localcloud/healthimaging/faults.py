"""Faults on demand: what the real service does on a bad day. Everything is off until a test, or a command, asks.

Add a fault as one attribute here and one question (a method) where the service acts.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque

from localcloud.healthimaging.errors import ServiceError


class Faults:
    """Thread-safe switchboard; attributes may be set at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._errors: dict[str, deque[ServiceError]] = defaultdict(deque)
        self._deliveries: dict[str, deque[int]] = defaultdict(deque)
        self._flips: dict[str, int] = {}
        # GetImageSetMetadata answers 409 this long after a version came to be (fact sheet 0.2).
        self.metadata_inconsistent_seconds: float = 0.0

    def fail(self, operation: str, error: ServiceError, times: int = 1) -> None:
        """Answer the next ``times`` calls of ``operation`` with ``error``."""
        with self._lock:
            self._errors[operation].extend([error] * times)

    def deliver(self, detail_type: str, times: int) -> None:
        """Deliver the next event of this type so many times: 0 loses it, 2 duplicates it."""
        with self._lock:
            self._deliveries[detail_type].append(times)

    def flip_bit(self, image_frame_id: str, bit: int) -> None:
        """Flip one bit of a frame in every answer; the stored frame stays as it is."""
        with self._lock:
            self._flips[image_frame_id] = bit

    def raise_for(self, operation: str) -> None:
        """Raise the error that is due for this call, if any."""
        with self._lock:
            due = self._errors[operation].popleft() if self._errors.get(operation) else None
        if due is not None:
            raise due

    def deliveries(self, detail_type: str) -> int:
        """How often to deliver the event at hand."""
        with self._lock:
            return self._deliveries[detail_type].popleft() if self._deliveries.get(detail_type) else 1

    def frame(self, image_frame_id: str, data: bytes) -> bytes:
        """The frame as it is to be answered."""
        with self._lock:
            bit = self._flips.get(image_frame_id)
        if bit is None or not data:
            return data
        damaged = bytearray(data)
        damaged[bit // 8 % len(damaged)] ^= 1 << bit % 8
        return bytes(damaged)
