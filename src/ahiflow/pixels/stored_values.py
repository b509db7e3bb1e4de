"""From what a codec returns to stored values in the dtype that the Image Pixel attributes ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ahiflow.errors import MalformedFrameError, UnsupportedTransferSyntaxError
from ahiflow.healthimaging.metadata import ImagePixel

_ALLOCATED = {8: 1, 16: 2, 32: 4, 64: 8}


def stored_dtype(pixels: ImagePixel) -> np.dtype[Any]:
    """dtype of the stored values, little endian: by Bits Allocated and Pixel Representation (PS3.3 C.7.6.3.1).

    One bit per pixel becomes uint8 of 0 and 1. Without Pixel Representation, 32 and 64 bits are floating point
    (PS3.3 C.7.6.24). Raises UnsupportedTransferSyntaxError for other widths.
    """
    if pixels.bits_allocated == 1:
        return np.dtype("u1")
    size = _ALLOCATED.get(pixels.bits_allocated)
    if size is None:
        raise UnsupportedTransferSyntaxError(f"pixels of {pixels.bits_allocated} bits allocated cannot be read")
    if pixels.pixel_representation is None and size >= 4:
        return np.dtype(f"<f{size}")
    return np.dtype(f"<{'i' if pixels.pixel_representation else 'u'}{size}")


def frame_shape(pixels: ImagePixel) -> tuple[int, ...]:
    """``(rows, columns)`` for one sample per pixel, else ``(rows, columns, samples)``."""
    plane = (pixels.rows, pixels.columns)
    return plane if pixels.samples_per_pixel == 1 else (*plane, pixels.samples_per_pixel)


def as_stored(array: NDArray[Any], pixels: ImagePixel, precision: int) -> NDArray[Any]:
    """Bring a codec's integers to the stored dtype, exactly.

    ``precision`` is the number of bits of the stream. Where the stream says unsigned and Pixel Representation says
    two's complement, the sign bit is the stream's highest. Raises MalformedFrameError when shape or values do not fit.
    """
    expected, dtype = frame_shape(pixels), stored_dtype(pixels)
    if array.shape != expected:
        raise MalformedFrameError(f"decoded to shape {array.shape} instead of {expected}")
    if array.dtype.kind not in "iu" or dtype.kind not in "iu":
        raise MalformedFrameError(f"decoded to {array.dtype} where the metadata says {dtype}")
    if array.dtype.kind == "u" and dtype.kind == "i":
        unused = 8 * dtype.itemsize - precision
        if unused < 0:
            raise MalformedFrameError(f"decoded to {precision} bits where the metadata says {dtype}")
        extended: NDArray[Any] = np.right_shift(np.left_shift(array.astype(dtype), unused), unused)
        return extended
    if array.dtype.kind == "i" and dtype.kind == "u" and array.size and int(array.min()) < 0:
        raise MalformedFrameError("decoded to negative values where the metadata says unsigned")
    if array.dtype.itemsize > dtype.itemsize and array.size:
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise MalformedFrameError(f"decoded to values that do not fit in {dtype}")
    return array.astype(dtype)
