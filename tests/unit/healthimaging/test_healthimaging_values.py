"""Values look as in the two real documents: padding, lists, numbers, nulls, base64, Unicode."""

from __future__ import annotations

import json
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from localcloud.healthimaging.metadata.instance_document import InstanceDocument, describe_instance
from localcloud.healthimaging.metadata.values import ValueLengthError, json_value, value_representation

BUNDLED = Path(pydicom.__file__).parent / "data" / "charset_files"


def value(keyword: str, vr: str, raw: bytes, **options: Any) -> Any:
    tag = Tag(tag_for_keyword(keyword))
    options = {"little_endian": True, "encodings": ["iso8859"], "keep_number_padding": True} | options
    return json_value(tag, vr, raw, options.pop("little_endian"), options.pop("encodings"), **options)


@pytest.mark.parametrize(
    ("keyword", "vr", "raw", "expected"),
    [
        ("RescaleIntercept", "DS", b"-1000 ", "-1000 "),
        ("PixelSpacing", "DS", b"0.25\\0.25 ", ["0.25", "0.25 "]),
        ("WindowCenter", "DS", b"0 ", ["0 "]),
        ("SeriesNumber", "IS", b"1 ", "1 "),
        ("ManufacturerModelName", "LO", b"i-CAT ", "i-CAT"),
        ("SoftwareVersions", "LO", b"3.1.62", ["3.1.62"]),
        ("SOPInstanceUID", "UI", b"1.2.3\0", "1.2.3"),
        ("ImageType", "CS", b"DERIVED\\PRIMARY\\AXIAL ", ["DERIVED", "PRIMARY", "AXIAL"]),
        ("PatientBirthDate", "DA", b"", None),
        ("PatientSex", "CS", b"  ", None),
        ("Rows", "US", b"\x80\x02", 640),
        ("PixelPaddingValue", "SS", b"\x30\xf8", -2000),
        ("FrameIncrementPointer", "AT", b"\x18\x00\x63\x10", ["00181063"]),
        ("FileMetaInformationVersion", "OB", b"\x00\x01", "AAE="),
        ("PatientComments", "LT", b"a\\b ", "a\\b"),
        ("RecommendedDisplayFrameRateInFloat", "FL", struct.pack("<f", 1.5), 1.5),
    ],
)
def test_values(keyword: str, vr: str, raw: bytes, expected: Any) -> None:
    assert value(keyword, vr, raw) == expected


def test_documents_of_2023_had_no_number_padding() -> None:
    assert value("WindowCenter", "DS", b"0 ", keep_number_padding=False) == ["0"]


def test_numbers_of_a_big_endian_file_and_those_that_json_has_no_word_for() -> None:
    assert value("Rows", "US", b"\x02\x80", little_endian=False) == 640
    assert value("RealWorldValueSlope", "FD", struct.pack("<d", float("nan"))) is None
    with pytest.raises(ValueLengthError):
        value("Rows", "US", b"\x01\x02\x03")


def test_texts_become_unicode() -> None:
    assert value("PatientName", "PN", "Müller^Jörg".encode("latin-1")) == "Müller^Jörg"
    assert value("InstitutionName", "LO", "病院".encode(), encodings=["utf8"]) == "病院"
    # In GBK and Shift JIS a backslash byte may be the second half of a character: it separates nothing.
    assert value("SoftwareVersions", "LO", "ソ1".encode("shift_jis"), encodings=["shift_jis"]) == ["ソ1"]


@pytest.mark.parametrize("file", ["chrH31.dcm", "chrH32.dcm", "chrX1.dcm", "chrGreek.dcm", "chrKoreanMulti.dcm"])
def test_names_in_every_character_set_are_pydicoms(file: str) -> None:
    path = BUNDLED / file
    document = describe_instance(pydicom.dcmread(path), keep_number_padding=True)
    # An empty last component group stands in the file: the service has the value, pydicom its meaning.
    assert document.levels["Patient"]["PatientName"].rstrip("=") == str(pydicom.dcmread(path).PatientName)


def test_ambiguous_and_missing_representations_are_resolved() -> None:
    padding = Tag("PixelPaddingValue")
    assert value_representation(padding, None, signed_pixels=True) == "SS"
    assert value_representation(padding, None, signed_pixels=False) == "US"
    assert value_representation(Tag(0x00090010), None, signed_pixels=False) == "LO"
    assert value_representation(Tag(0x00091001), None, signed_pixels=False) == "UN"
    assert value_representation(Tag("Rows"), "UN", signed_pixels=False) == "US"


def described(syntax: str) -> InstanceDocument:
    dataset = Dataset()
    dataset.SOPInstanceUID = "1.2"
    dataset.PatientName = "A^B"
    dataset.ReferencedImageSequence = [Dataset()]
    dataset.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    dataset.ReferencedStudySequence = []
    dataset.private_block(0x0009, "ahiflow", create=True).add_new(1, "LO", "mine")
    dataset.add_new(0x60003000, "OW", b"\1\2")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2"
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return describe_instance(pydicom.dcmread(BytesIO(file.getvalue())), keep_number_padding=True)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_document_of_an_instance(syntax: str) -> None:
    document = described(syntax)
    instance = document.levels["Instance"]
    assert document.levels["Patient"] == {"PatientName": "A^B"}
    assert document.levels["Study"] == {"ReferencedStudySequence": None}
    assert instance["ReferencedImageSequence"] == [{"ReferencedSOPInstanceUID": "1.2.3"}]
    assert instance["TransferSyntaxUID"] == syntax
    assert isinstance(instance["FileMetaInformationGroupLength"], int)
    assert instance["00090010"] == "ahiflow"
    assert document.vrs["00090010"] == "LO"
    assert instance["60003000"] == "AQI="  # repeating groups share keywords, so their tags are the keys
    if syntax != ImplicitVRLittleEndian:
        assert (instance["00091001"], document.vrs["00091001"]) == ("mine", "LO")
    else:
        assert (instance["00091001"], document.vrs["00091001"]) == ("bWluZQ==", "UN")
    json.dumps(document.levels, allow_nan=False)
