"""What must hold of a JPEG 2000 code stream before a decoder sees it (ISO/IEC 15444-1 annex A, 15444-15 annex A).

Decoders in this family may hang, crash or return wrong pixels in silence on damaged streams. Together with the CRC32
of the decoded pixels these checks left none of those among 3,000 mutated streams per decoder (engineering-facts.md 5).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ahiflow.errors import MalformedFrameError
from ahiflow.healthimaging.metadata import ImagePixel

SOC: Final = b"\xff\x4f"
JP2_SIGNATURE: Final = b"\x00\x00\x00\x0cjP  "  # the first box of JP2 and JPH files
_SIZ, _COD, _COC, _SOT = 0xFF51, 0xFF52, 0xFF53, 0xFF90
_EOC: Final = b"\xff\xd9"
_HT_BIT: Final = 0x4000  # bit 14 of Rsiz (15444-15 A.2): HT code-blocks
_MAXIMUM_PRECISION: Final = 38  # 15444-1 A.5.1


@dataclass(frozen=True, slots=True)
class CodeStream:
    """A checked code stream. ``is_reversible``: every component uses the 5-3 transformation."""

    data: bytes
    precision: int
    is_signed: bool
    is_high_throughput: bool
    is_reversible: bool


def checked_code_stream(frame: bytes, pixels: ImagePixel) -> CodeStream:
    """Find the code stream, raw or in JP2/JPH boxes, and check it against the metadata.

    Raises MalformedFrameError: no SOC and SIZ, no EOC at the end, or size, image offset, number of components or
    precision other than the metadata allows.
    """
    data = _unwrapped(frame)
    if data[:2] != SOC or data[2:4] != struct.pack(">H", _SIZ):
        raise MalformedFrameError("no JPEG 2000 code stream (SOC and SIZ markers)")
    end = data.rfind(_EOC, max(0, len(data) - 3)) + 2
    if end < len(data) - 1:  # at most one byte of padding to even length (PS3.5 A.4), written as 00 or FF
        raise MalformedFrameError("the code stream ends without its EOC marker")
    data = data[:end]
    precision, is_signed, is_high_throughput = _check_siz(data, pixels)
    return CodeStream(data, precision, is_signed, is_high_throughput, _is_reversible(data))


def _check_siz(data: bytes, pixels: ImagePixel) -> tuple[int, bool, bool]:
    try:
        _length, rsiz, width, height, x, y, _tw, _th, tile_x, tile_y, components = struct.unpack_from(
            ">HHIIIIIIIIH", data, 4
        )
        sampling = [struct.unpack_from(">BBB", data, 42 + 3 * c) for c in range(min(components, 4))]
    except struct.error as error:
        raise MalformedFrameError("the code stream ends within its SIZ marker") from error
    if (x, y, tile_x, tile_y) != (0, 0, 0, 0):
        raise MalformedFrameError("the code stream has an image offset")
    if (width, height, components) != (pixels.columns, pixels.rows, pixels.samples_per_pixel):
        raise MalformedFrameError(
            f"the code stream is {width} x {height} x {components}, the metadata says "
            f"{pixels.columns} x {pixels.rows} x {pixels.samples_per_pixel}"
        )
    if any(component != sampling[0] for component in sampling) or sampling[0][1:] != (1, 1):
        raise MalformedFrameError("the components of the code stream differ in precision or sampling")
    precision, is_signed = (sampling[0][0] & 0x7F) + 1, bool(sampling[0][0] & 0x80)
    if precision > min(pixels.bits_allocated, _MAXIMUM_PRECISION):
        raise MalformedFrameError(f"the code stream has {precision} bits, the metadata {pixels.bits_allocated}")
    return precision, is_signed, bool(rsiz & _HT_BIT)


def _is_reversible(data: bytes) -> bool:
    """Whether COD, and every COC, of the main header names the reversible 5-3 transformation (value 1)."""
    reversible = []
    position = 2
    while position + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, position)
        if marker == _SOT or marker < 0xFF00 or length < 2:
            break
        # COD: Lcod, Scod, SGcod (4), then SPcod of which the fifth byte is the transformation; COC has Ccoc and Scoc
        # (one byte each, below 257 components) in place of Scod and SGcod (15444-1 A.6.1, A.6.2).
        offset = {_COD: 13, _COC: 10}.get(marker)
        if offset is not None:
            reversible.append(data[position + offset : position + offset + 1] == b"\x01")
        position += 2 + length
    if not reversible:
        raise MalformedFrameError("the code stream has no COD marker")
    return all(reversible)


def _unwrapped(frame: bytes) -> bytes:
    """The content of the first jp2c box (15444-1 I.5.4), or the frame itself when it is no box file."""
    if not frame.startswith(JP2_SIGNATURE):
        return frame
    position = 0
    while position + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, position)
        header = 8
        if length == 1 and position + 16 <= len(frame):
            (length,) = struct.unpack_from(">Q", frame, position + 8)
            header = 16
        if kind == b"jp2c":
            end = len(frame) if length == 0 else position + length
            return frame[position + header : end]
        if length < header:
            break
        position += length
    raise MalformedFrameError("the JPEG 2000 file holds no code stream (jp2c box)")
