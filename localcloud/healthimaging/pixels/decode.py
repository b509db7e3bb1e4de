"""Frames of an instance as arrays of stored values, decoded by codecs that are not the fetcher's code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from localcloud.healthimaging.metadata.reading import READ_ERRORS
from localcloud.healthimaging.pixels import syntaxes

# What pydicom and imagecodecs raise on bad pixel data; imagecodecs' own errors are RuntimeErrors.
DECODE_ERRORS = (*READ_ERRORS, RuntimeError)


class DecodingError(Exception):
    """The pixel data cannot be decoded; the text names the property, never a value of the data set."""


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """The Image Pixel module's attributes that decoding needs (PS3.3 §C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric_interpretation: str
    number_of_frames: int

    @classmethod
    def of(cls, dataset: pydicom.Dataset) -> ImagePixel:
        """Read the attributes. Raises DecodingError naming the one that is missing or malformed."""
        try:
            return cls(
                rows=int(dataset["Rows"].value),
                columns=int(dataset["Columns"].value),
                samples=int(dataset["SamplesPerPixel"].value),
                bits_allocated=int(dataset["BitsAllocated"].value),
                bits_stored=int(dataset.get("BitsStored") or dataset["BitsAllocated"].value),
                signed=bool(int(dataset.get("PixelRepresentation") or 0)),
                photometric_interpretation=str(dataset.get("PhotometricInterpretation", "")),
                number_of_frames=max(1, int(dataset.get("NumberOfFrames") or 1)),
            )
        except READ_ERRORS as error:
            raise DecodingError("the Image Pixel attributes are missing or malformed") from error

    @property
    def dtype(self) -> np.dtype[Any]:
        """Little-endian integers of the allocated width. Raises DecodingError for a width that is none."""
        if self.bits_allocated not in (1, 8, 16, 32, 64):
            raise DecodingError(f"BitsAllocated is {self.bits_allocated}")
        kind = "i" if self.signed and self.bits_allocated > 1 else "u"
        return np.dtype(f"<{kind}{max(1, self.bits_allocated // 8)}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one frame: (rows, columns) or (rows, columns, samples)."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)


def decoded_frames(dataset: pydicom.Dataset, pixel: ImagePixel) -> Iterator[NDArray[Any]]:
    """Yield each frame as stored values: no rescale, no colour conversion, samples last, little-endian.

    Raises DecodingError, at the first frame that does not decode to what the attributes say.
    """
    uid = str(dataset.file_meta.TransferSyntaxUID)
    try:
        frames: Iterator[NDArray[Any]]
        if pixel.bits_allocated == 1 and uid in syntaxes.NATIVE - {syntaxes.EXPLICIT_BIG}:
            frames = _bitmaps(dataset, pixel)
        elif uid in syntaxes.NATIVE or uid == syntaxes.RLE:
            frames = (array for array, _ in get_decoder(UID(uid)).iter_array(dataset, raw=True))
        else:
            frames = _encapsulated(dataset, pixel, uid)
        count = 0
        for frame in frames:
            count += 1
            yield _conformed(frame, pixel)
    except DECODE_ERRORS as error:
        raise DecodingError(f"a {uid} frame cannot be decoded ({type(error).__name__})") from error
    if count != pixel.number_of_frames:
        raise DecodingError(f"{count} frames where NumberOfFrames is {pixel.number_of_frames}")


def encoded_frames(dataset: pydicom.Dataset, number_of_frames: int) -> Iterator[bytes]:
    """Yield the encoded bytes of each frame of encapsulated pixel data (PS3.5 §A.4), padding included.

    Raises DecodingError where the fragments cannot be told apart.
    """
    offsets = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    try:
        yield from generate_frames(dataset.PixelData, number_of_frames=number_of_frames, extended_offsets=offsets)
    except READ_ERRORS as error:
        raise DecodingError(f"the fragments cannot be read ({type(error).__name__})") from error


def _bitmaps(dataset: pydicom.Dataset, pixel: ImagePixel) -> Iterator[NDArray[Any]]:
    """Frames of one bit a pixel follow each other without padding (PS3.5 §8.1.1): one may start inside a byte."""
    size = pixel.rows * pixel.columns * pixel.samples
    packed = np.frombuffer(dataset.PixelData, np.uint8)
    for start in range(0, pixel.number_of_frames * size, size):
        stop = start + size
        bits = np.unpackbits(packed[start // 8 : -(-stop // 8)], bitorder="little")
        yield bits[start % 8 : start % 8 + size].reshape(pixel.shape)


def _encapsulated(dataset: pydicom.Dataset, pixel: ImagePixel, uid: str) -> Iterator[NDArray[Any]]:
    for encoded in encoded_frames(dataset, pixel.number_of_frames):
        frame = np.asarray(_decode(encoded, uid, pixel))
        if (pixel.signed and pixel.bits_stored < pixel.bits_allocated) or frame.dtype.kind != pixel.dtype.kind:
            frame = _with_sign(frame, pixel)
        yield frame


def _decode(encoded: bytes, uid: str, pixel: ImagePixel) -> NDArray[Any]:
    if uid == syntaxes.JPEG_EXTENDED:
        colour = "YCBCR" if pixel.samples == 3 and pixel.photometric_interpretation.startswith("YBR") else None
        return imagecodecs.jpeg8_decode(encoded, colorspace=colour, outcolorspace=colour)
    if uid in (syntaxes.JPEG_LOSSLESS, syntaxes.JPEG_LOSSLESS_SV1):
        return imagecodecs.jpegsof3_decode(encoded)
    if uid in (syntaxes.JPEG_LS, syntaxes.JPEG_LS_NEAR):
        return imagecodecs.jpegls_decode(encoded)
    if uid in (syntaxes.HTJ2K_LOSSLESS, syntaxes.HTJ2K_LOSSLESS_RPCL):
        return imagecodecs.htj2k_decode(encoded, planar=False)
    if uid in (syntaxes.JPEG_2000_LOSSLESS, syntaxes.JPEG_2000_MC_LOSSLESS, syntaxes.JPEG_2000_MC):
        return imagecodecs.jpeg2k_decode(encoded, planar=False)
    raise DecodingError(f"no decoder for {uid}")


def _with_sign(frame: NDArray[Any], pixel: ImagePixel) -> NDArray[Any]:
    """Read the low BitsStored bits as the data set's PixelRepresentation says; codecs decide signs their own way."""
    width = pixel.dtype.itemsize
    shift = width * 8 - pixel.bits_stored
    wide = frame.astype(f"<u{width}", casting="unsafe")
    shifted = (wide << np.array(shift, wide.dtype)).view(pixel.dtype)
    signed: NDArray[Any] = shifted >> np.array(shift, pixel.dtype)
    return signed


def _conformed(frame: NDArray[Any], pixel: ImagePixel) -> NDArray[Any]:
    if frame.ndim == 3 and pixel.samples == 1 and frame.shape[2] == 1:
        frame = frame[..., 0]
    if frame.shape != pixel.shape:
        raise DecodingError(f"a frame decodes to {frame.shape}, the attributes say {pixel.shape}")
    if frame.dtype.kind == "f":
        raise DecodingError("float pixel data has no lossless stored form")
    if frame.dtype.itemsize > pixel.dtype.itemsize:
        raise DecodingError(f"a frame decodes to {frame.dtype}, BitsAllocated is {pixel.bits_allocated}")
    return np.ascontiguousarray(frame.astype(pixel.dtype, copy=False))
