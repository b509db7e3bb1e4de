"""Frames: signs, colours, widths; and what cannot be stored is said, not stored wrongly."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless

from localcloud.healthimaging.pixels.htj2k import EncodingError, decompositions, encode_htj2k, read_codestream
from localcloud.healthimaging.pixels.transcode import StoredFrame, Transcoding, TranscodingError, plan
from localcloud.healthimaging.switches import Switches


def image(pixels: np.ndarray[Any, Any], syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    bits = pixels.dtype.itemsize * 8
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def transcoded(dataset: Dataset, **switches: Any) -> tuple[Transcoding, list[StoredFrame]]:
    transcoding = plan(dataset, "HTJ2K", Switches(**switches))
    assert transcoding is not None
    return transcoding, list(transcoding.frames)


def test_the_base_resolution_fits_in_64() -> None:
    assert [decompositions(*size) for size in ((1, 1), (64, 64), (128, 9), (129, 9), (512, 512), (640, 640))] == [
        1, 1, 1, 2, 3, 4,
    ]  # fmt: skip


def test_planar_colour_is_stored_by_pixel() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    planar = image(pixels, PlanarConfiguration=1, PixelData=pixels.transpose(2, 0, 1).tobytes())
    _, (frame,) = transcoded(planar)
    assert np.array_equal(imagecodecs.htj2k_decode(frame.data, planar=False), pixels)
    assert frame.checksums[-1]["Checksum"] == zlib.crc32(pixels.tobytes())


def test_ybr_is_stored_as_it_is_without_a_colour_transform() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (10, 12, 3), dtype=np.uint8)
    _, (frame,) = transcoded(image(pixels, PhotometricInterpretation="YBR_FULL"))
    assert np.array_equal(imagecodecs.htj2k_decode(frame.data, planar=False), pixels)
    mct = frame.data[frame.data.index(b"\xff\x52") + 8]
    assert mct == 0


def test_compressed_values_take_their_sign_from_the_data_set() -> None:
    """JPEG-LS has no signed samples: twelve stored bits in sixteen, -1 is 0xFFF in the stream."""
    pixels = np.array([[-1, 0], [2047, -2048]], dtype=np.int16)
    stream = imagecodecs.jpegls_encode((pixels & 0xFFF).astype(np.uint16))
    dataset = image(pixels, JPEGLSLossless, BitsStored=12, HighBit=11, PixelData=encapsulate([stream]))
    dataset["PixelData"].VR = "OB"
    _, (frame,) = transcoded(dataset)
    assert np.array_equal(imagecodecs.htj2k_decode(frame.data), pixels)
    assert (frame.minimum, frame.maximum) == (-2048, 2047)


def test_one_bit_frames_are_kept_packed() -> None:
    bits = np.random.default_rng(1).integers(0, 2, (3, 9, 7), dtype=np.uint8)
    packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    dataset = image(bits[0], BitsAllocated=1, BitsStored=1, HighBit=0, NumberOfFrames="3", PixelData=packed + b"\0")
    transcoding, frames = transcoded(dataset)
    assert transcoding.stored_transfer_syntax_uid == ExplicitVRLittleEndian
    for stored, original in zip(frames, bits, strict=True):
        unpacked = np.unpackbits(np.frombuffer(stored.data, np.uint8), bitorder="little")[:63]
        assert np.array_equal(unpacked, original.reshape(-1))
        assert stored.minimum is None


def test_the_checksums_of_2023_are_a_switch() -> None:
    _, (frame,) = transcoded(image(np.zeros((512, 512), np.int16)), checksum_levels=3)
    assert [entry["Width"] for entry in frame.checksums] == [128, 256, 512]


@pytest.mark.parametrize(
    "broken", [{"PixelData": b"\0\0"}, {"BitsAllocated": 12}, {"Rows": None}, {"NumberOfFrames": "7"}]
)
def test_what_does_not_decode_says_so(broken: dict[str, Any]) -> None:
    with pytest.raises(TranscodingError):
        transcoded(image(np.zeros((4, 4), np.uint16), **broken))


def test_widths_that_htj2k_cannot_hold_are_refused() -> None:
    with pytest.raises(EncodingError):
        encode_htj2k(np.zeros((4, 4), np.uint64), colour_transform=False)


def test_a_codestream_that_breaks_off_is_no_codestream() -> None:
    whole = encode_htj2k(np.zeros((70, 70), np.uint8), colour_transform=False)
    assert read_codestream(whole).tile_parts == 2
    for cut in (3, 20, 60, len(whole) - 1):
        with pytest.raises(EncodingError):
            read_codestream(whole[:cut])
    with pytest.raises(EncodingError):
        read_codestream(b"\xff\x4f" + struct.pack(">HH", 0xFF64, 2) + b"\xff\xd9")
