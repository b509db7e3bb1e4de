"""HealthImaging's frame checksum: CRC-32 (zlib's polynomial), unsigned.

Over the decoded pixels, in stored values, little endian, allocated width, samples interleaved, where the frame was
transcoded; over the stored bytes where it was kept as it came (devguide "pixel-data-verification").
"""

from __future__ import annotations

import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ahiflow.errors import ChecksumMismatchError
from ahiflow.healthimaging.metadata import FrameChecksum, ImagePixel
from ahiflow.pixels.transfer_syntaxes import TRANSCODED

ChecksumOf = Literal["decoded", "stored"]


def crc32_of_pixels(array: NDArray[Any]) -> int:
    """CRC-32 of the array's values in little endian and C order."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return zlib.crc32(little.view(np.uint8).data)


def verify(
    array: NDArray[Any],
    stored: bytes,
    checksum: FrameChecksum,
    pixels: ImagePixel,
    stored_transfer_syntax_uid: str | None,
) -> ChecksumOf:
    """Compare with the metadata and say what the checksum covers. Raises ChecksumMismatchError.

    For frames kept as they came either cover is taken, since public text does not settle which one is used: both
    prove the frame, and the chance that a wrong one passes is 2 in 2^32.
    """
    if (checksum.width, checksum.height) != (pixels.columns, pixels.rows):
        raise ChecksumMismatchError("the metadata has no checksum at full resolution")
    if crc32_of_pixels(array) == checksum.crc32:
        return "decoded"
    was_transcoded = stored_transfer_syntax_uid is None or stored_transfer_syntax_uid in TRANSCODED
    if not was_transcoded and zlib.crc32(stored) == checksum.crc32:
        return "stored"
    raise ChecksumMismatchError("the decoded pixels are not those that HealthImaging computed its checksum over")
