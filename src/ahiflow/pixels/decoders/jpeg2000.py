"""JPEG 2000 and HTJ2K, with imagecodecs (OpenJPH for lossless HTJ2K, OpenJPEG for the rest of the family).

Lossy HTJ2K goes to OpenJPEG because OpenJPH's binding wraps values where it should clip (engineering-facts.md 5).
"""

from __future__ import annotations

from typing import Any

import imagecodecs
from numpy.typing import NDArray

from ahiflow.errors import MalformedFrameError
from ahiflow.healthimaging.metadata import ImagePixel
from ahiflow.pixels.guards import CodeStream, checked_code_stream
from ahiflow.pixels.stored_values import as_stored


def decode(frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode one frame, guarded. The decoder is chosen by the stream itself: the HT bit of Rsiz, then the transform.

    A multiple component transform is undone: colour comes back as RGB.
    """
    del stored_transfer_syntax_uid  # the code stream says what it is
    stream = checked_code_stream(frame, pixels)
    return as_stored(_decoded(stream), pixels, stream.precision)


def _decoded(stream: CodeStream) -> NDArray[Any]:
    array: NDArray[Any]
    try:
        # planar=False: RGB without a colour transform otherwise comes back planes first.
        if stream.is_high_throughput and stream.is_reversible:
            array = imagecodecs.htj2k_decode(stream.data, planar=False)
        else:
            array = imagecodecs.jpeg2k_decode(stream.data, planar=False)
    except (imagecodecs.Htj2kError, imagecodecs.Jpeg2kError, ValueError, MemoryError) as error:
        raise MalformedFrameError(f"the code stream does not decode: {type(error).__name__}") from error
    return array
