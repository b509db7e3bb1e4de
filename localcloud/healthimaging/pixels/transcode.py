"""From an instance's pixel data to the frames that the service stores, one bounded frame at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from localcloud.healthimaging.pixels import syntaxes
from localcloud.healthimaging.pixels.decode import DecodingError, ImagePixel, decoded_frames, encoded_frames
from localcloud.healthimaging.pixels.htj2k import EncodingError, encode_htj2k, encode_j2k
from localcloud.healthimaging.switches import Switches

DECOMPRESSED = "DECOMPRESSED"
_PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame as stored. ``checksums`` run from base to full resolution; min and max are None where kept as is."""

    data: bytes
    checksums: list[dict[str, int]]
    minimum: int | None
    maximum: int | None


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning of the import job: code and type of the developer guide's reference-warning-codes."""

    code: int
    type: str
    message: str


@dataclass(slots=True)
class Transcoding:
    """How an instance's frames are stored; ``frames`` is to be consumed once, and raises TranscodingError."""

    stored_transfer_syntax_uid: str
    checksum_type: str
    frames: Iterator[StoredFrame]
    warnings: list[Warned] = field(default_factory=list)


class TranscodingError(Exception):
    """The frames cannot be transcoded: keep them as they came (:func:`keep`), with a warning."""


def plan(dataset: pydicom.Dataset, storage_format: str, switches: Switches) -> Transcoding | None:
    """Choose how to store the instance's frames by its transfer syntax; None for an instance without pixel data.

    ``storage_format`` is the data store's: HTJ2K or JPEG_2000_LOSSLESS. Decoding happens while ``frames`` is consumed.
    """
    if not any(keyword in dataset for keyword in _PIXEL_KEYWORDS):
        return None
    uid = str(dataset.file_meta.TransferSyntaxUID)
    if uid in syntaxes.KEPT:
        return keep(dataset, switches)
    if uid not in syntaxes.TRANSCODED and not _is_readable_bitmap(dataset, uid):
        message = "The file was imported but its transfer syntax is not supported, frames are returned as they came."
        return keep(dataset, switches, Warned(45344, "UnsupportedTransferSyntax", message))
    if int(dataset.get("BitsAllocated") or 0) == 1:
        return Transcoding(syntaxes.EXPLICIT_LITTLE, switches.kept_frame_checksum_type, _bitmaps(dataset))
    stored = syntaxes.JPEG_2000_LOSSLESS if storage_format == "JPEG_2000_LOSSLESS" else syntaxes.HTJ2K_LOSSLESS_RPCL
    return Transcoding(stored, DECOMPRESSED, _transcoded(dataset, stored, switches))


def keep(dataset: pydicom.Dataset, switches: Switches, warning: Warned | None = None) -> Transcoding:
    """Store the frames as they came. Pixel data that cannot be cut into frames is stored as one."""
    uid = str(dataset.file_meta.TransferSyntaxUID)
    stored = syntaxes.EXPLICIT_LITTLE if uid in (syntaxes.IMPLICIT_LITTLE, syntaxes.DEFLATED) else uid
    warnings = [warning] if warning else []
    return Transcoding(stored, switches.kept_frame_checksum_type, _kept(dataset, uid), warnings)


def transcoding_warning(reason: str) -> Warned:
    """Warning 45312: pixels kept as a blob, with the reason, which holds no value of the data set."""
    return Warned(45312, "TranscodingException", f"The file was imported but its frames were not transcoded: {reason}.")


def _is_readable_bitmap(dataset: pydicom.Dataset, uid: str) -> bool:
    return uid in syntaxes.NATIVE and int(dataset.get("BitsAllocated") or 0) == 1


def _transcoded(dataset: pydicom.Dataset, stored: str, switches: Switches) -> Iterator[StoredFrame]:
    try:
        pixel = ImagePixel.of(dataset)
        for frame in decoded_frames(dataset, pixel):
            rgb = pixel.samples == 3 and pixel.photometric_interpretation == "RGB"
            if stored == syntaxes.JPEG_2000_LOSSLESS:
                encoded = encode_j2k(frame)
            else:
                encoded = encode_htj2k(frame, colour_transform=rgb and switches.colour_transform_for_rgb)
            checksums = _checksums(frame, switches.checksum_levels)
            yield StoredFrame(encoded, checksums, int(frame.min()), int(frame.max()))
    except (DecodingError, EncodingError) as error:
        raise TranscodingError(str(error)) from error


def _checksums(frame: NDArray[Any], levels: int) -> list[dict[str, int]]:
    """CRC32 of the little-endian bytes, C order. Lower levels (2023 era) are plain subsamples: what the service took
    there is not documented."""
    entries = []
    for level in reversed(range(levels)):
        part = np.ascontiguousarray(frame[:: 2**level, :: 2**level])
        entries.append({"Width": part.shape[1], "Height": part.shape[0], "Checksum": zlib.crc32(part.data)})
    return entries


def _bitmaps(dataset: pydicom.Dataset) -> Iterator[StoredFrame]:
    """One-bit frames, each packed from its own first byte, lowest bit first (PS3.5 §8.1.1)."""
    try:
        pixel = ImagePixel.of(dataset)
        for frame in decoded_frames(dataset, pixel):
            yield _as_is(np.packbits(frame.reshape(-1), bitorder="little").tobytes(), dataset)
    except DecodingError as error:
        raise TranscodingError(str(error)) from error


def _kept(dataset: pydicom.Dataset, uid: str) -> Iterator[StoredFrame]:
    keyword = next(keyword for keyword in _PIXEL_KEYWORDS if keyword in dataset)
    data = bytes(dataset[keyword].value or b"")
    count = max(1, int(dataset.get("NumberOfFrames") or 1))
    parts = [data]
    if uid in syntaxes.NATIVE:
        if count > 1 and len(data) % count == 0:
            size = len(data) // count
            parts = [data[start : start + size] for start in range(0, len(data), size)]
    else:
        try:
            parts = list(encoded_frames(dataset, 1 if uid in syntaxes.VIDEO else count))
        except DecodingError:
            parts = [data]  # the fragments cannot be told apart: the whole value is the one frame
    for part in parts:
        yield _as_is(part, dataset)


def _as_is(data: bytes, dataset: pydicom.Dataset) -> StoredFrame:
    width, height = int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0)
    checksum = {"Width": width, "Height": height, "Checksum": zlib.crc32(data)}
    return StoredFrame(data, [checksum], None, None)
