"""A damaged frame gives the right pixels or a named error: never wrong pixels, another exception, a hang."""

from __future__ import annotations

import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from fetch_support import encode, image_pixel
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ahiflow.errors import ChecksumMismatchError, MalformedFrameError
from ahiflow.healthimaging.metadata import FrameChecksum
from ahiflow.pixels import transfer_syntaxes as ts
from ahiflow.pixels.decode import decode_and_verify

ARRAY = np.random.default_rng(11).integers(-1000, 1000, (40, 50)).astype("<i2")
UNSIGNED = (ARRAY + 1000).astype("<u2")
BYTES = (UNSIGNED >> 3).astype("u1")
STREAMS: dict[str, tuple[str, Any, bytes]] = {
    "htj2k": (ts.HTJ2K_LOSSLESS_RPCL, ARRAY, encode(ARRAY)),
    "j2k": (
        ts.JPEG_2000_LOSSLESS,
        ARRAY,
        bytes(imagecodecs.jpeg2k_encode(ARRAY, level=0, codecformat="j2k", reversible=True)),
    ),
    "jpegls": (ts.JPEG_LS_LOSSLESS, UNSIGNED, bytes(imagecodecs.jpegls_encode(UNSIGNED))),
    "jpeg": (ts.JPEG_BASELINE, BYTES, bytes(imagecodecs.jpeg8_encode(BYTES))),
    "native": (ts.EXPLICIT_VR_LITTLE_ENDIAN, ARRAY, ARRAY.tobytes()),
}


@st.composite
def mutations(draw: st.DrawFn, stream: bytes) -> bytes:
    """Flip bits, cut, drop or repeat a part."""
    damaged = bytearray(stream)
    for _ in range(draw(st.integers(0, 3))):
        damaged[draw(st.integers(0, len(damaged) - 1))] ^= draw(st.integers(1, 255))
    start = draw(st.integers(0, len(damaged)))
    stop = draw(st.integers(start, min(len(damaged), start + 20)))
    match draw(st.sampled_from(["keep", "cut", "drop", "repeat"])):
        case "cut":
            del damaged[start:]
        case "drop":
            del damaged[start:stop]
        case "repeat":
            damaged[start:start] = damaged[start:stop]
    return bytes(damaged)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # see ahiflow.pixels.quiet
@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_right_pixels_or_a_named_error(name: str, data: st.DataObject) -> None:
    syntax, array, stream = STREAMS[name]
    frame = data.draw(mutations(stream))
    of = array.tobytes() if syntax in ts.TRANSCODED else stream
    checksum = FrameChecksum(array.shape[1], array.shape[0], zlib.crc32(of))
    try:
        verified = decode_and_verify(frame, image_pixel(array), syntax, checksum)
    except (MalformedFrameError, ChecksumMismatchError):
        return
    if syntax != ts.JPEG_BASELINE:
        np.testing.assert_array_equal(verified.array, array)
    else:  # lossy: the proof is that the stored bytes are the ones that were imported
        assert frame == stream
