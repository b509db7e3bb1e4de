"""Native pixels (PS3.5 section 8.1.1), one bit per pixel included, and RLE (PS3.5 annex G)."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ahiflow.errors import MalformedFrameError
from ahiflow.healthimaging.metadata import ImagePixel
from ahiflow.pixels.stored_values import frame_shape, stored_dtype
from ahiflow.pixels.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN


def decode(frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode native pixels: exactly the bytes of one frame, or one byte of padding more."""
    if pixels.bits_allocated == 1:
        return _unpacked_bits(frame, pixels)
    dtype = stored_dtype(pixels)
    wire = dtype.newbyteorder(">") if stored_transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN else dtype
    _check_length(frame, _native_size(pixels))
    flat = np.frombuffer(frame, wire, count=math.prod(frame_shape(pixels)))
    return _interleaved(flat, pixels).astype(dtype)


def decode_rle(frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode RLE: one segment per byte of each sample, most significant first (PS3.5 G.2); bits stay packed."""
    del stored_transfer_syntax_uid
    dtype, shape = stored_dtype(pixels), frame_shape(pixels)
    is_packed = pixels.bits_allocated == 1
    if len(frame) < 64:
        raise MalformedFrameError("the RLE header is cut")
    count, *offsets = struct.unpack_from("<16I", frame)
    expected = pixels.samples_per_pixel * dtype.itemsize
    if count != expected:
        raise MalformedFrameError(f"{count} RLE segments instead of {expected}")
    bounds = [*offsets[:count], len(frame)]
    if bounds != sorted(bounds) or bounds[0] < 64:
        raise MalformedFrameError("the RLE segment offsets are not in order")
    plane = (pixels.rows * pixels.columns + 7) // 8 if is_packed else pixels.rows * pixels.columns
    raw = np.empty((pixels.samples_per_pixel, dtype.itemsize, plane), np.uint8)
    for segment in range(count):
        sample, byte = divmod(segment, dtype.itemsize)
        unpacked = _unpacked(frame[bounds[segment] : bounds[segment + 1]], plane)
        raw[sample, dtype.itemsize - 1 - byte] = np.frombuffer(unpacked, np.uint8)
    if is_packed:
        return _unpacked_bits(raw[0, 0].tobytes(), pixels)
    values = np.ascontiguousarray(raw.transpose(2, 0, 1)).view(dtype)
    return values.reshape(shape)


def decode_deflated(frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode Deflated Image Frame Compression (PS3.5 A.4.13): native pixels as raw deflate (RFC 1951)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        native = inflater.decompress(frame, max_length=_native_size(pixels) + 1)
    except zlib.error as error:
        raise MalformedFrameError("the deflated frame does not inflate") from error
    return decode(native, pixels, stored_transfer_syntax_uid)


def _unpacked(segment: bytes, size: int) -> bytes:
    """Undo PackBits (PS3.5 G.3.2): exactly ``size`` bytes, or MalformedFrameError."""
    output = bytearray()
    position = 0
    while position < len(segment) and len(output) < size:
        header = segment[position]
        if header < 128:
            output += segment[position + 1 : position + 2 + header]
            position += 2 + header
        elif header > 128:
            output += segment[position + 1 : position + 2] * (257 - header)
            position += 2
        else:
            position += 1
    if len(output) != size:
        raise MalformedFrameError(f"an RLE segment unpacks to {len(output)} bytes instead of {size}")
    return bytes(output)


def _unpacked_bits(frame: bytes, pixels: ImagePixel) -> NDArray[Any]:
    """One bit per pixel, first pixel in the least significant bit (PS3.5 section 8.1.1), as uint8 of 0 and 1."""
    count = math.prod(frame_shape(pixels))
    _check_length(frame, _native_size(pixels))
    bits = np.unpackbits(np.frombuffer(frame, np.uint8), count=count, bitorder="little")
    return bits.reshape(frame_shape(pixels))


def _interleaved(flat: NDArray[Any], pixels: ImagePixel) -> NDArray[Any]:
    """Samples last; Planar Configuration 1 has them first (PS3.3 C.7.6.3.1.3)."""
    if pixels.samples_per_pixel == 1 or not pixels.planar_configuration:
        return flat.reshape(frame_shape(pixels))
    return flat.reshape(pixels.samples_per_pixel, pixels.rows, pixels.columns).transpose(1, 2, 0)


def _native_size(pixels: ImagePixel) -> int:
    """Bytes of one native frame; frames of one bit per pixel begin on a byte of their own."""
    count = math.prod(frame_shape(pixels))
    return (count + 7) // 8 if pixels.bits_allocated == 1 else count * stored_dtype(pixels).itemsize


def _check_length(frame: bytes, size: int) -> None:
    if len(frame) not in (size, size + size % 2):
        raise MalformedFrameError(f"{len(frame)} bytes instead of {size}")
