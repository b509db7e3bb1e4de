"""Get, decode and verify all frames of a plan: bounded, concurrent, all or nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ahiflow.errors import ChecksumMismatchError, MalformedFrameError, UnsupportedTransferSyntaxError
from ahiflow.fetching.plan import PlannedFrame
from ahiflow.healthimaging.reader import ImageSetReader, ImageSetRef
from ahiflow.pixels.checksum import ChecksumOf
from ahiflow.pixels.decode import decode_and_verify

Progress = Callable[[int], None]
KeepStored = Callable[[PlannedFrame, bytes], None]


@dataclass(frozen=True, slots=True)
class FetchedFrame:
    """What became of a planned frame: what its checksum covers, and which codec decoded it."""

    crc32_of: ChecksumOf
    codec: str
    codec_version: str


class _Cancelled(Exception):
    """Another frame failed; this one was not started."""


def download(
    reader: ImageSetReader,
    ref: ImageSetRef,
    frames: Sequence[PlannedFrame],
    arrays: Sequence[NDArray[Any]],
    *,
    frames_in_flight: int,
    progress: Progress,
    keep_stored: KeepStored | None = None,
) -> list[FetchedFrame]:
    """Fill ``arrays`` (see FetchPlan.arrays) with verified stored values; results in the order of ``frames``.

    At most ``frames_in_flight`` frames are in memory; decoding overlaps with HTTP, as many at once as there are
    processors. ``progress`` is told the number of frames done, from one thread at a time. ``keep_stored`` gets the
    stored bytes of each verified frame, from many threads.

    Raises the first error, which names the frame; no further frame is started then, and the arrays are worthless.
    """
    worker = _Worker(reader, ref, arrays, progress, keep_stored)
    with ThreadPoolExecutor(max_workers=max(1, frames_in_flight), thread_name_prefix="frame") as pool:
        futures = [pool.submit(worker.fetch, frame) for frame in frames]
        try:
            wait(futures)
        except BaseException:  # an interrupt: start nothing more, then let it through
            worker.cancel()
            raise
    failures = [error for future in futures if (error := _failure(future)) is not None]
    if failures:
        raise failures[0]
    return [future.result() for future in futures]


class _Worker:
    def __init__(
        self,
        reader: ImageSetReader,
        ref: ImageSetRef,
        arrays: Sequence[NDArray[Any]],
        progress: Progress,
        keep_stored: KeepStored | None,
    ) -> None:
        self._reader, self._ref, self._arrays = reader, ref, arrays
        self._progress, self._keep_stored = progress, keep_stored
        self._decoding = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._counting = threading.Lock()
        self._count = 0
        self._stop = threading.Event()

    def cancel(self) -> None:
        self._stop.set()

    def fetch(self, frame: PlannedFrame) -> FetchedFrame:
        if self._stop.is_set():
            raise _Cancelled
        try:
            return self._fetch(frame)
        except BaseException:
            self._stop.set()
            raise

    def _fetch(self, frame: PlannedFrame) -> FetchedFrame:
        stored = self._reader.get_frame(self._ref, frame.image_frame_id)
        with self._decoding, _naming(frame):
            verified = decode_and_verify(stored, frame.pixels, frame.stored_transfer_syntax_uid, frame.checksum)
        self._arrays[frame.array][frame.index] = verified.array
        if self._keep_stored is not None:
            self._keep_stored(frame, stored)
        with self._counting:
            self._count += 1
            self._progress(self._count)
        return FetchedFrame(verified.crc32_of, verified.codec.name, verified.codec.version())


@contextmanager
def _naming(frame: PlannedFrame) -> Iterator[None]:
    """Add the frame's name to the errors of decoding: the id by which HealthImaging knows it."""
    try:
        yield
    except (MalformedFrameError, ChecksumMismatchError, UnsupportedTransferSyntaxError) as error:
        name = f"frame {frame.image_frame_id} (frame number {frame.frame_number} of its instance)"
        raise type(error)(f"{name}: {error}") from error


def _failure(future: Future[FetchedFrame]) -> BaseException | None:
    error = future.exception()
    return None if isinstance(error, _Cancelled) else error
