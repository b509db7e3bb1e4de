"""Encode one frame losslessly as PS3.5 §10.18 wants it, and prove it: markers read back, pixels compared."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray

BASE_SIZE = 64
_RPCL = 2
_TILE_PART_PER_RESOLUTION = 1


class EncodingError(Exception):
    """The frame cannot be stored losslessly; the text names the property, never the pixels."""


@dataclass(frozen=True, slots=True)
class CodestreamFacts:
    """What the main header and the tile-parts of a JPEG 2000 family codestream declare (ISO/IEC 15444-1 Annex A)."""

    progression: int
    levels: int
    has_tlm: bool
    tile_parts: int
    high_throughput: bool
    reversible: bool


def decompositions(columns: int, rows: int) -> int:
    """Return how often to halve until the base resolution fits in 64 x 64; at least once."""
    levels = 1
    while -(-max(columns, rows) >> levels) > BASE_SIZE:
        levels += 1
    return levels


def encode_htj2k(frame: NDArray[np.generic], *, colour_transform: bool) -> bytes:
    """Encode ``frame`` (rows, columns[, samples]) as 1.2.840.10008.1.2.4.202: reversible, RPCL, TLM, a tile-part each
    resolution. Raises EncodingError where the codec refuses or its output does not decode to the same array."""
    try:
        encoded = bytes(
            imagecodecs.htj2k_encode(
                frame,
                rgb=colour_transform,
                resolutions=decompositions(frame.shape[1], frame.shape[0]),
                reversible=True,
                tlm=True,
                tilepart=_TILE_PART_PER_RESOLUTION,
            )
        )
        decoded = imagecodecs.htj2k_decode(encoded, planar=False)
    except (RuntimeError, ValueError, TypeError) as error:
        raise EncodingError(f"HTJ2K does not take {frame.dtype} {frame.shape}") from error
    facts = read_codestream(encoded)
    if facts.progression != _RPCL or not facts.has_tlm or not facts.reversible or not facts.high_throughput:
        raise EncodingError("the encoder did not write a lossless RPCL codestream with TLM")
    _require_equal(frame, decoded)
    return encoded


def encode_j2k(frame: NDArray[np.generic]) -> bytes:
    """Encode ``frame`` as JPEG 2000 lossless, 1.2.840.10008.1.2.4.90. Raises EncodingError as encode_htj2k does."""
    try:
        encoded = bytes(imagecodecs.jpeg2k_encode(frame, level=0, codecformat="j2k", reversible=True, mct=False))
        decoded = imagecodecs.jpeg2k_decode(encoded, planar=False)
    except (RuntimeError, ValueError, TypeError) as error:
        raise EncodingError(f"JPEG 2000 does not take {frame.dtype} {frame.shape}") from error
    _require_equal(frame, decoded)
    return encoded


def _require_equal(frame: NDArray[np.generic], decoded: NDArray[np.generic]) -> None:
    if decoded.dtype != frame.dtype or not np.array_equal(decoded.reshape(frame.shape), frame):
        raise EncodingError(f"the codestream does not decode to the {frame.dtype} pixels that went in")


def read_codestream(codestream: bytes) -> CodestreamFacts:
    """Read the markers of a raw codestream. Raises EncodingError where they break off."""
    cod: bytes | None = None
    capabilities = 0
    has_tlm = False
    tile_parts = 0
    position = 2
    try:
        while (marker := codestream[position : position + 2]) != b"\xff\xd9":
            (length,) = struct.unpack_from(">H", codestream, position + 2)
            body = codestream[position + 4 : position + 2 + length]
            if marker == b"\xff\x90":  # SOT: Psot spans the whole tile-part
                tile_parts += 1
                (length,) = struct.unpack_from(">xxI", body)
                position += length - 2
            elif marker == b"\xff\x51":  # SIZ
                (capabilities,) = struct.unpack_from(">H", body)
            elif marker == b"\xff\x52":  # COD
                cod = body
            elif marker == b"\xff\x55":  # TLM
                has_tlm = True
            position += 2 if marker == b"\xff\x90" else 2 + length
    except struct.error as error:
        raise EncodingError("the codestream breaks off") from error
    if cod is None:
        raise EncodingError("the codestream has no COD marker")
    return CodestreamFacts(cod[1], cod[5], has_tlm, tile_parts, bool(capabilities & 0x4000), cod[9] == 1)
