"""Frames per second of the fetcher's decode, guards and CRC32 included, beside bare codecs on the same streams."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file

from ahiflow.healthimaging.metadata import FrameChecksum, ImagePixel
from ahiflow.pixels.decode import decode_and_verify
from ahiflow.pixels.transfer_syntaxes import HTJ2K_LOSSLESS_RPCL

FRAMES = 60
ROUNDS = 5


def measure() -> list[dict[str, Any]]:
    """Decode one CT frame, enlarged to 512 x 512, over and over: one thread, then two; medians of shuffled rounds."""
    small = dcmread(str(get_testdata_file("CT_small.dcm"))).pixel_array
    array = np.ascontiguousarray(np.tile(small, (4, 4)))
    stream = bytes(imagecodecs.htj2k_encode(array, reversible=True))
    pixels = ImagePixel(
        rows=512,
        columns=512,
        samples_per_pixel=1,
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=1,
        photometric_interpretation="MONOCHROME2",
        planar_configuration=0,
    )
    checksum = FrameChecksum(width=512, height=512, crc32=zlib.crc32(array.tobytes()))

    def ours(_: int) -> Any:
        return decode_and_verify(stream, pixels, HTJ2K_LOSSLESS_RPCL, checksum)

    def two_threads() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ours, range(FRAMES)))

    contenders: dict[str, Callable[[], None]] = {
        "ours": lambda: _repeat(ours),
        "ours, 2 threads": two_threads,
        "OpenJPH (imagecodecs), bare": lambda: _repeat(lambda _: imagecodecs.htj2k_decode(stream, planar=False)),
        "OpenJPEG (imagecodecs), bare": lambda: _repeat(lambda _: imagecodecs.jpeg2k_decode(stream)),
    }
    rates = _rates(contenders)
    bare, other = rates["OpenJPH (imagecodecs), bare"], rates["OpenJPEG (imagecodecs), bare"]
    row = {"unit": "frames/s"}
    return [
        {"what": "decode and verify, 1 thread", "value": rates["ours"], "ratio": rates["ours"] / bare}
        | row
        | {"peer": "bare OpenJPH"},
        {"what": "decode and verify, 1 thread", "value": rates["ours"], "ratio": rates["ours"] / other}
        | row
        | {"peer": "bare OpenJPEG"},
        {
            "what": "decode and verify, 2 threads",
            "value": rates["ours, 2 threads"],
            "ratio": rates["ours, 2 threads"] / rates["ours"],
        }
        | row
        | {"peer": "1 thread"},
    ]


def _repeat(decode: Callable[[int], Any]) -> None:
    for index in range(FRAMES):
        decode(index)


def _rates(contenders: dict[str, Callable[[], None]]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    return {name: FRAMES / median(times) for name, times in seconds.items()}
