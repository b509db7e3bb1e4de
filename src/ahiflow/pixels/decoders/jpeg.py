"""JPEG (DCT and predictive), JPEG-LS and JPEG XL, with imagecodecs. No colour conversion anywhere."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import imagecodecs
from numpy.typing import NDArray

from ahiflow.errors import MalformedFrameError
from ahiflow.healthimaging.metadata import ImagePixel
from ahiflow.pixels.stored_values import as_stored

_SOI: Final = b"\xff\xd8"
_EOI: Final = b"\xff\xd9"
_SOS: Final = 0xDA
# Start Of Frame markers: C0-CF without DHT (C4), JPG (C8) and DAC (CC) (ISO/IEC 10918-1 B.1.1.3); F7 is that of
# JPEG-LS (14495-1 C.2.2).
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_ERRORS: Final = (
    imagecodecs.Jpeg8Error,
    imagecodecs.LjpegError,
    imagecodecs.JpeglsError,
    imagecodecs.JpegxlError,
    imagecodecs.Jpegsof3Error,
    ValueError,
    MemoryError,
)


@dataclass(frozen=True, slots=True)
class _Jpeg:
    data: bytes
    precision: int


def decode_dct(frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode JPEG baseline or extended. YBR stays YBR: subsampled chroma is interpolated, not converted."""
    del stored_transfer_syntax_uid
    stream = _checked(frame, pixels)
    # Told that input and output are both YCbCr (or RGB), libjpeg converts nothing, whatever an Adobe marker says.
    colorspace = "YCBCR" if pixels.samples_per_pixel == 3 else None
    array = _run(imagecodecs.jpeg8_decode, stream.data, colorspace=colorspace, outcolorspace=colorspace)
    return as_stored(array, pixels, stream.precision)


def decode_predictive(frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode JPEG lossless (process 14)."""
    del stored_transfer_syntax_uid
    stream = _checked(frame, pixels)
    colorspace = "RGB" if pixels.samples_per_pixel == 3 else None
    array = _run(imagecodecs.jpeg8_decode, stream.data, colorspace=colorspace, outcolorspace=colorspace)
    return as_stored(array, pixels, stream.precision)


def decode_jpeg_ls(frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode JPEG-LS, lossless or near-lossless."""
    del stored_transfer_syntax_uid
    stream = _checked(frame, pixels)
    return as_stored(_run(imagecodecs.jpegls_decode, stream.data), pixels, stream.precision)


def decode_jpeg_xl(frame: bytes, pixels: ImagePixel, stored_transfer_syntax_uid: str) -> NDArray[Any]:
    """Decode JPEG XL (ISO/IEC 18181)."""
    del stored_transfer_syntax_uid
    array = _run(imagecodecs.jpegxl_decode, frame)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return as_stored(array, pixels, pixels.bits_stored)


def _run(decoder: Any, data: bytes, **options: Any) -> NDArray[Any]:
    try:
        array: NDArray[Any] = decoder(data, **options)
    except _ERRORS as error:
        raise MalformedFrameError(f"the stream does not decode: {type(error).__name__}") from error
    return array


def _checked(frame: bytes, pixels: ImagePixel) -> _Jpeg:
    """Check SOI, the first SOF and EOI. Raises MalformedFrameError where they disagree with the metadata."""
    end = frame.rfind(_EOI, max(0, len(frame) - 3)) + 2
    data = frame[:end]
    # At most one byte of padding to even length (PS3.5 A.4), written as 00 or FF.
    if not data.startswith(_SOI) or end < len(frame) - 1:
        raise MalformedFrameError("no whole JPEG stream (SOI and EOI markers)")
    precision, rows, columns, samples = _start_of_frame(data)
    if (rows, columns, samples) != (pixels.rows, pixels.columns, pixels.samples_per_pixel):
        raise MalformedFrameError(
            f"the JPEG stream is {columns} x {rows} x {samples}, the metadata says "
            f"{pixels.columns} x {pixels.rows} x {pixels.samples_per_pixel}"
        )
    return _Jpeg(data, precision)


def _start_of_frame(data: bytes) -> tuple[int, int, int, int]:
    """(precision, lines, samples per line, components) of the first SOF (10918-1 B.2.2)."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == _SOS:
            break
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _SOF and position + 10 <= len(data):
            precision, lines, width, components = struct.unpack_from(">BHHB", data, position + 4)
            return precision, lines, width, components
        position += 2 + length
    raise MalformedFrameError("the JPEG stream has no Start Of Frame")
