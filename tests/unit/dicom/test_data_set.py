"""Finding what identifies an instance: true for every encoding, and never satisfied by a data set that is cut off."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from ahiflow.dicom.data_set import identify
from ahiflow.dicom.encoding import read_file_meta
from ahiflow.errors import UnreadableInstanceError

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{tail}" for tail in ("", ".1", ".2", ".1.99"))
# name -> the reason, which a sender and a log will see: no value of the data set may be in it.
REFUSED = {
    "MR_truncated.dcm": "the data set ends inside element (7FE0,0010)",
    "rtplan_truncated.dcm": "the data set ends inside element (300A,00B0)",
    "SC_rgb_jpeg.dcm": "element (0008,0008) has no known value representation",
    "priv_SQ.dcm": "the data set lacks SOPClassUID",
    "JPEGLSNearLossless_08.dcm": "the data set lacks StudyInstanceUID",
}
READ = (
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_padded.dcm",
    "image_dfl.dcm",
    "JPEG2000.dcm",
    "JPEG2000-embedded-sequence-delimiter.dcm",
    "SC_rgb_rle_2frame.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "examples_ybr_color.dcm",
    "rtplan.dcm",
    "rtdose_rle_1frame.dcm",
    "reportsi.dcm",
    "liver_1frame.dcm",
    "badVR.dcm",
)


def split(name: str) -> tuple[bytes, str]:
    data = (FOLDER / name).read_bytes()
    meta = read_file_meta(data)
    return data[meta.data_set_offset :], meta.transfer_syntax_uid


def small(syntax: str) -> bytes:
    """A data set with a nested sequence of undefined length, a private element and a value of every header form."""
    inner = Dataset()
    inner.CodeValue = "1"
    item = Dataset()
    item.ConceptNameCodeSequence = Sequence([inner])
    data_set = Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
    data_set.Modality = "CT"
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = "1.2.3", "1.2.3.5"
    data_set.ContentSequence = Sequence([item, Dataset()])
    data_set["ContentSequence"].is_undefined_length = True
    item["ConceptNameCodeSequence"].is_undefined_length = True
    data_set.add_new(0x00091001, "UN", b"private!")
    data_set.add_new(0x7FE00010, "OW", bytes(64))
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = syntax != BIG, syntax == IMPLICIT
    write_dataset(buffer, data_set)
    encoded = buffer.getvalue()
    if syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflater.compress(encoded) + deflater.flush()
    return encoded


@pytest.mark.parametrize("name", READ)
def test_the_facts_are_what_pydicom_reads(name: str) -> None:
    facts = identify(*split(name))
    theirs = pydicom.dcmread(FOLDER / name, stop_before_pixels=True)
    assert facts.sop_class_uid == theirs.SOPClassUID
    assert facts.sop_instance_uid == theirs.SOPInstanceUID
    assert facts.study_instance_uid == theirs.StudyInstanceUID
    assert facts.series_instance_uid == theirs.SeriesInstanceUID
    assert facts.modality == theirs.get("Modality", "")


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_what_cannot_be_imported_is_refused_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(UnreadableInstanceError) as caught:
        identify(*split(name))
    assert caught.value.reason == reason


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG, DEFLATED], ids=["implicit", "explicit", "big", "deflated"])
def test_a_data_set_that_is_cut_off_anywhere_is_refused(syntax: str) -> None:
    """At every byte: a sender that breaks off must not be told that all is well."""
    whole = small(syntax)
    assert identify(whole, syntax).series_instance_uid == "1.2.3.5"
    accepted = []
    for length in range(len(whole)):
        try:
            identify(whole[:length], syntax)
        except UnreadableInstanceError:
            continue
        accepted.append(length)
    # Between elements after the last UID a cut cannot be told from a shorter data set: one place for each element.
    assert len(accepted) <= (0 if syntax == DEFLATED else 3), accepted


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=400), syntax=st.sampled_from([IMPLICIT, EXPLICIT, BIG, DEFLATED]))
def test_any_bytes_are_refused_as_data_not_as_a_crash(data: bytes, syntax: str) -> None:
    with pytest.raises(UnreadableInstanceError):
        identify(data, syntax)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 500), value=st.integers(0, 255), syntax=st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_a_changed_byte_never_crashes(position: int, value: int, syntax: str) -> None:
    data = bytearray(small(syntax))
    data[position % len(data)] = value
    try:
        identify(bytes(data), syntax)
    except UnreadableInstanceError as error:
        assert "\n" not in error.reason and len(error.reason) < 80


def test_sequences_nested_without_end_are_refused() -> None:
    nested = b"".join(
        struct.pack("<HHI", 0x40, 0xA730, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff" for _ in range(5000)
    )
    with pytest.raises(UnreadableInstanceError, match="nested too deep"):
        identify(nested, IMPLICIT)


def test_a_uid_that_is_no_uid_is_refused_without_quoting_it() -> None:
    """It becomes part of a key, and might be anything."""
    for value in (b"../../secret", b"JOHN DOE"):
        data = small(EXPLICIT).replace(b"1.2.3.4\x00", value[:8].ljust(8, b"x"))
        with pytest.raises(UnreadableInstanceError) as caught:
            identify(data, EXPLICIT)
        assert caught.value.reason == "SOPInstanceUID is no UID"


def test_zero_padding_at_the_end_is_no_fault() -> None:
    assert identify(small(EXPLICIT) + bytes(10), EXPLICIT).modality == "CT"


@pytest.mark.parametrize(
    "data", [b"", b"hello", bytes(128) + b"DICX", bytes(132)], ids=["empty", "text", "magic", "zero"]
)
def test_a_file_without_part_10_head_is_not_dicom(data: bytes) -> None:
    with pytest.raises(UnreadableInstanceError, match="not a DICOM file"):
        read_file_meta(data)


def test_a_head_that_is_cut_off_or_lacks_something_is_said() -> None:
    data = (FOLDER / "CT_small.dcm").read_bytes()
    for length in range(140, read_file_meta(data).data_set_offset - 60, 7):
        with pytest.raises(UnreadableInstanceError, match="file meta information"):
            read_file_meta(data[:length])
    assert pydicom.dcmread(BytesIO(data)).file_meta.TransferSyntaxUID == read_file_meta(data).transfer_syntax_uid
