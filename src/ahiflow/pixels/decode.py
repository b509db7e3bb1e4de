"""From the bytes of one frame to its verified array; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ahiflow.errors import MalformedFrameError
from ahiflow.healthimaging.metadata import FrameChecksum, ImagePixel
from ahiflow.pixels import checksum as checksums
from ahiflow.pixels.codecs import CODECS, Codec, codec_for
from ahiflow.pixels.stored_values import frame_shape, stored_dtype


@dataclass(frozen=True, slots=True)
class VerifiedFrame:
    """A decoded frame whose checksum is HealthImaging's, and the codec that decoded it."""

    array: NDArray[Any]
    crc32_of: checksums.ChecksumOf
    codec: Codec


def decode_frame(
    frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str | None, codecs: tuple[Codec, ...] = CODECS
) -> NDArray[Any]:
    """Decode one frame as HealthImaging returned it.

    Contract
        - Shape is ``(rows, columns)`` for one sample per pixel, else ``(rows, columns, samples)``.
        - dtype follows Bits Allocated and Pixel Representation (PS3.3 C.7.6.3), little endian; one bit is uint8.
        - Values are stored values, in the colour space of the stored image; JPEG 2000's own component transform is
          undone (RGB), YBR and palette indices are kept. Rescale to HU is the caller's step.
        - The array is writable, C-contiguous and owns its memory.

    Raises
        UnsupportedTransferSyntaxError: no available codec for this stream.
        MalformedFrameError: the stream is damaged or differs from the attributes.
    """
    codec = codec_for(stored_transfer_syntax_uid, frame, codecs)
    return _decode_with(codec, frame, pixels, stored_transfer_syntax_uid)


def decode_and_verify(
    frame: bytes,
    pixels: ImagePixel,
    stored_transfer_syntax_uid: str | None,
    checksum: FrameChecksum,
    codecs: tuple[Codec, ...] = CODECS,
) -> VerifiedFrame:
    """As decode_frame, and compare with HealthImaging's checksum. Raises ChecksumMismatchError besides."""
    codec = codec_for(stored_transfer_syntax_uid, frame, codecs)
    array = _decode_with(codec, frame, pixels, stored_transfer_syntax_uid)
    return VerifiedFrame(array, checksums.verify(array, frame, checksum, pixels, stored_transfer_syntax_uid), codec)


def _decode_with(
    codec: Codec, frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str | None
) -> NDArray[Any]:
    assert codec.decode is not None  # codec_for returns available codecs only
    array = codec.decode(frame, pixels, stored_transfer_syntax_uid or "")
    dtype, shape = stored_dtype(pixels), frame_shape(pixels)
    if array.shape != shape or array.dtype != dtype:
        raise MalformedFrameError(f"decoded to {array.dtype} {array.shape} instead of {dtype} {shape}")
    return np.require(array, requirements=["C", "O", "W"])
