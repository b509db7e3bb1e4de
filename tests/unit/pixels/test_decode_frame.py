"""Every codec gives exact stored values in the stated dtype, or a named error."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pydicom.data
import pytest
from fetch_support import encode, image_pixel, image_pixel_of
from pydicom.encaps import generate_frames

from ahiflow.errors import (
    ChecksumMismatchError,
    MalformedFrameError,
    UnsupportedTransferSyntaxError,
)
from ahiflow.healthimaging.metadata import FrameChecksum, ImagePixel
from ahiflow.pixels import transfer_syntaxes as ts
from ahiflow.pixels.codecs import CODECS, codec_for
from ahiflow.pixels.decode import decode_and_verify, decode_frame

SHAPE = (12, 14)
INTEGERS = ("u1", "i1", "u2", "i2", "u4", "i4")


def values(dtype: str, shape: tuple[int, ...] = SHAPE) -> Any:
    """The whole range of the dtype."""
    limits = np.iinfo(dtype)
    array = np.random.default_rng(7).integers(limits.min, limits.max, shape, dtype=np.dtype(dtype), endpoint=True)
    array.flat[0], array.flat[-1] = limits.min, limits.max
    return array


@pytest.mark.parametrize("dtype", INTEGERS)
def test_htj2k_is_exact_over_the_whole_range(dtype: str) -> None:
    array = values(dtype)
    decoded = decode_frame(encode(array), image_pixel(array), ts.HTJ2K_LOSSLESS_RPCL)
    np.testing.assert_array_equal(decoded, array)
    assert decoded.dtype == array.dtype
    assert decoded.flags.writeable
    assert decoded.flags.owndata


@pytest.mark.parametrize("colour_transform", [True, False])
def test_rgb_comes_back_samples_last(colour_transform: bool) -> None:
    array = values("u1", (12, 14, 3))
    decoded = decode_frame(encode(array, rgb=colour_transform), image_pixel(array), ts.HTJ2K_LOSSLESS_RPCL)
    np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
def test_jpeg_2000_lossless(dtype: str) -> None:
    array = values(dtype)
    stream = imagecodecs.jpeg2k_encode(array, level=0, codecformat="j2k", reversible=True)
    np.testing.assert_array_equal(decode_frame(stream, image_pixel(array), ts.JPEG_2000_LOSSLESS), array)


def test_jpeg_2000_in_boxes() -> None:
    array = values("u2")
    stream = imagecodecs.jpeg2k_encode(array, level=0, codecformat="jp2", reversible=True)
    np.testing.assert_array_equal(decode_frame(stream, image_pixel(array), ts.JPEG_2000_LOSSLESS), array)


def test_twelve_stored_bits_keep_their_sign() -> None:
    array = (values("i2") >> 4).astype("<i2")
    decoded = decode_frame(encode(array), image_pixel(array, bits_stored=12), ts.HTJ2K_LOSSLESS_RPCL)
    np.testing.assert_array_equal(decoded, array)


def test_unsigned_stream_of_signed_pixels_is_sign_extended_from_its_precision() -> None:
    array = (values("i2") >> 4).astype("<i2")
    stream = imagecodecs.jpegls_encode((array & 0x0FFF).astype("u2"))
    precision = stream[stream.index(b"\xff\xf7") + 4]  # what the encoder chose to write in its SOF55
    decoded = decode_frame(stream, image_pixel(array, bits_stored=12), ts.JPEG_LS_LOSSLESS)
    shift = 16 - precision
    np.testing.assert_array_equal(decoded, ((array & 0x0FFF) << shift).astype("<i2") >> shift)


@pytest.mark.parametrize("dtype", [*INTEGERS, "f4", "f8"])
@pytest.mark.parametrize("syntax", [ts.EXPLICIT_VR_LITTLE_ENDIAN, ts.EXPLICIT_VR_BIG_ENDIAN])
def test_native(dtype: str, syntax: str) -> None:
    array = np.arange(168, dtype=dtype).reshape(SHAPE)
    wire = array.astype(array.dtype.newbyteorder(">")) if syntax == ts.EXPLICIT_VR_BIG_ENDIAN else array
    pixels = image_pixel(array, **({"pixel_representation": None} if dtype.startswith("f") else {}))
    decoded = decode_frame(wire.tobytes(), pixels, syntax)
    np.testing.assert_array_equal(decoded, array)
    assert decoded.dtype == array.dtype


def test_native_planes_become_interleaved() -> None:
    array = values("u1", (12, 14, 3))
    planes = array.transpose(2, 0, 1).tobytes()
    decoded = decode_frame(planes, image_pixel(array, planar_configuration=1), ts.EXPLICIT_VR_LITTLE_ENDIAN)
    np.testing.assert_array_equal(decoded, array)


def test_one_bit_per_pixel() -> None:
    array = np.random.default_rng(3).integers(0, 2, (5, 7), dtype=np.uint8)
    packed = np.packbits(array.reshape(-1), bitorder="little").tobytes()
    pixels = image_pixel(array, bits_allocated=1, bits_stored=1)
    np.testing.assert_array_equal(decode_frame(packed, pixels, ts.EXPLICIT_VR_LITTLE_ENDIAN), array)
    deflate = zlib.compressobj(wbits=-15)
    deflated = deflate.compress(packed) + deflate.flush()
    np.testing.assert_array_equal(decode_frame(deflated, pixels, ts.DEFLATED_IMAGE_FRAME), array)


@pytest.mark.parametrize("extra", [-1, 2, 1000])
def test_native_of_another_length_is_refused(extra: int) -> None:
    array = values("u2")
    with pytest.raises(MalformedFrameError, match="bytes instead of 336"):
        decode_frame((array.tobytes() + bytes(1000))[: 336 + extra], image_pixel(array), ts.EXPLICIT_VR_LITTLE_ENDIAN)


def test_jpeg_xl_is_exact() -> None:
    array = values("u2")
    stream = imagecodecs.jpegxl_encode(array, lossless=True)
    np.testing.assert_array_equal(decode_frame(stream, image_pixel(array), ts.JPEG_XL), array)


REAL_FILES = [
    "693_J2KI.dcm",
    "JPEG2000.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_RLE.dcm",
    "SC_rgb_rle_16bit.dcm",
    "rtdose_rle_1frame.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
]


# MD5 of the decoded array, on which pydicom with pylibjpeg and GDCM agree; pydicom has no plug-in for these here.
GOLDEN = {
    "JPEGLSNearLossless_16.dcm": "eb66e7736b7b318ee9c6f1530e57a732",
    "MR_small_jpeg_ls_lossless.dcm": "dc9943d2b303bf18ab512dfdd6df0559",
    "SC_rgb_jpeg_gdcm.dcm": "6e292886c67969271076242ebef13e22",
}


def read(name: str) -> tuple[Any, bytes, ImagePixel]:
    """A file that comes with pydicom: its data set, its first frame and the attributes."""
    dataset = pydicom.dcmread(str(pydicom.data.get_testdata_file(name)))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames", 1))))
    return dataset, frame, image_pixel_of(dataset)


@pytest.mark.parametrize("name", GOLDEN)
def test_real_files_decode_to_their_golden_arrays(name: str) -> None:
    dataset, frame, pixels = read(name)
    decoded = decode_frame(frame, pixels, dataset.file_meta.TransferSyntaxUID)
    assert hashlib.md5(decoded.tobytes(), usedforsecurity=False).hexdigest() == GOLDEN[name]


@pytest.mark.parametrize("name", REAL_FILES)
def test_real_files_decode_as_pydicom_decodes_them(name: str) -> None:
    dataset, frame, pixels = read(name)
    syntax = dataset.file_meta.TransferSyntaxUID
    expected = pydicom.pixels.pixel_array(dataset, index=0, raw=True)
    decoded = decode_frame(frame, pixels, syntax)
    assert decoded.dtype == expected.dtype
    tolerance = 1 if syntax in ts.JPEG_DCT else 0  # IDCTs may round apart (10918-1 A.3.3)
    assert np.abs(decoded.astype(int) - expected).max() <= tolerance


def _put(data: bytes, position: int, value: bytes) -> bytes:
    return data[:position] + value + data[position + len(value) :]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "no JPEG 2000 code stream"),
        (lambda data: data[:3], "no JPEG 2000 code stream"),
        (lambda data: data[:30], "ends"),
        (lambda data: data[:-2], "EOC"),
        (lambda data: data + b"\0\0", "EOC"),
        (lambda data: _put(data, 8, b"\0\0\xff\xff"), "the metadata says"),  # Xsiz
        (lambda data: _put(data, 16, b"\0\0\0\1"), "image offset"),  # XOsiz
        (lambda data: _put(data, 40, b"\0\3"), "the metadata says"),  # Csiz
        (lambda data: _put(data, 42, b"\x1f"), "32 bits"),  # Ssiz
        (lambda data: _put(data, data.index(b"\xff\x52"), b"\xff\x64"), "no COD"),
    ],
)
def test_damaged_streams_are_refused_before_a_decoder_sees_them(damage: Any, message: str) -> None:
    array = values("u2")
    with pytest.raises(MalformedFrameError, match=message):
        decode_frame(damage(encode(array)), image_pixel(array), ts.HTJ2K_LOSSLESS_RPCL)


def test_one_byte_of_padding_is_no_damage() -> None:
    array = values("u2")
    for padding in (b"\0", b"\xff"):
        decoded = decode_frame(encode(array) + padding, image_pixel(array), ts.HTJ2K_LOSSLESS_RPCL)
        np.testing.assert_array_equal(decoded, array)


def test_wrong_pixels_do_not_pass_the_checksum() -> None:
    array = values("i2")
    checksum = FrameChecksum(14, 12, zlib.crc32(array.tobytes()))
    other = array.copy()
    other[3, 4] ^= 1
    assert decode_and_verify(encode(array), image_pixel(array), ts.HTJ2K_LOSSLESS_RPCL, checksum).crc32_of == "decoded"
    with pytest.raises(ChecksumMismatchError):
        decode_and_verify(encode(other), image_pixel(array), ts.HTJ2K_LOSSLESS_RPCL, checksum)


def test_stored_bytes_prove_only_frames_that_are_kept_as_they_came() -> None:
    array = values("u2")
    stream = imagecodecs.jpeg2k_encode(array, level=0, codecformat="j2k", reversible=True)
    checksum = FrameChecksum(14, 12, zlib.crc32(stream))
    assert decode_and_verify(stream, image_pixel(array), ts.JPEG_2000, checksum).crc32_of == "stored"
    with pytest.raises(ChecksumMismatchError):
        decode_and_verify(stream, image_pixel(array), ts.JPEG_2000_LOSSLESS, checksum)


def test_a_checksum_of_a_lower_resolution_proves_nothing() -> None:
    array = values("u2")
    with pytest.raises(ChecksumMismatchError, match="full resolution"):
        decode_and_verify(encode(array), image_pixel(array), None, FrameChecksum(7, 6, zlib.crc32(array.tobytes())))


def test_an_unsupported_syntax_is_named() -> None:
    with pytest.raises(UnsupportedTransferSyntaxError, match=r"1\.2\.840\.10008\.1\.2\.4\.102"):
        codec_for("1.2.840.10008.1.2.4.102", b"")
    with pytest.raises(UnsupportedTransferSyntaxError, match="none we know"):
        codec_for(None, b"garbage")


def test_codecs_that_are_not_used_say_why() -> None:
    unused = [codec for codec in CODECS if codec.unavailable_because]
    assert {codec.name for codec in unused} == {"openjphpy", "nvimgcodec"}
    with pytest.raises(UnsupportedTransferSyntaxError, match=r"openjphpy 0\.1\.0 holds no module"):
        codec_for(ts.HTJ2K_LOSSLESS_RPCL, b"", codecs=tuple(unused))


def test_bits_that_numpy_has_no_dtype_for_are_refused() -> None:
    array = values("u2")
    with pytest.raises(UnsupportedTransferSyntaxError, match="12 bits allocated"):
        decode_frame(b"", image_pixel(array, bits_allocated=12), ts.EXPLICIT_VR_LITTLE_ENDIAN)
