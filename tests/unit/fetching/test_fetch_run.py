"""Fetching one image set: the arrays are exact, or there is no result at all."""

from __future__ import annotations

import gzip
import json
import threading
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from fetch_support import (
    IMAGE_SET,
    PSEUDONYMS,
    SECRETS,
    InstanceSpec,
    MemoryReader,
    axial,
    axial_series,
    encode,
    fetch_to,
    slices,
)

from ahiflow.errors import (
    AhiflowError,
    ChecksumMismatchError,
    ConfigurationError,
    MalformedFrameError,
    MalformedMetadataError,
    NotFoundError,
    ThrottledError,
    UnsupportedTransferSyntaxError,
)
from ahiflow.image_set_document import parse_image_set_document
from ahiflow.pseudonym import Pseudonyms

# imagecodecs 2026.3.6 on damaged streams: see ahiflow.pixels.quiet.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_pixels_are_the_stored_values_in_the_order_of_geometry(tmp_path: Path) -> None:
    volume = slices(5, 12, 14)
    result = fetch_to(tmp_path / "x", axial_series(volume, order=[3, 0, 4, 1, 2]))
    pixels = np.load(tmp_path / "x" / "pixels.npy")
    assert pixels.dtype == np.dtype("<i2")
    np.testing.assert_array_equal(pixels, volume)
    assert result.document.pixels is not None
    assert result.document.pixels.axes == ("frames", "rows", "columns")
    assert result.report.frames_fetched == result.report.frames_verified == 5


def test_volume_stands_where_dicom_says(tmp_path: Path) -> None:
    volume = slices(5, 12, 14)
    fetch_to(tmp_path / "x", axial_series(volume, order=[3, 0, 4, 1, 2]))
    image = nibabel.load(tmp_path / "x" / "volume.nii.gz")
    # (column 2, row 3, frame 4): LPS = position + 2 * between columns along x + 3 * between rows along y + 4 * 2 mm.
    lps = np.array([-30.5 + 2 * 0.75, 40.25 + 3 * 0.5, 100 + 4 * 2.0])
    np.testing.assert_allclose(image.affine @ [2, 3, 4, 1], [*(-lps[:2]), lps[2], 1], atol=1e-5)
    assert image.get_data_dtype() == np.int16
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), volume.astype(int) - 1024)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_rescale_is_applied_frame_by_frame_and_fractions_give_float32(tmp_path: Path) -> None:
    volume, attributes = slices(3), axial(3)
    for k, attribute in enumerate(attributes):
        attribute |= {"RescaleSlope": f"{1.5 + k}", "RescaleIntercept": "-2"}
    reader = MemoryReader([InstanceSpec([volume[k]], k + 1, attributes[k]) for k in range(3)])
    fetch_to(tmp_path / "x", reader)
    image = nibabel.load(tmp_path / "x" / "volume.nii.gz")
    assert image.get_data_dtype() == np.float32
    expected = volume * (1.5 + np.arange(3))[:, None, None] - 2
    np.testing.assert_allclose(np.asarray(image.dataobj).transpose(2, 1, 0), expected, rtol=1e-6)


def test_same_image_set_gives_the_same_bytes(tmp_path: Path) -> None:
    reader = axial_series(slices(4))
    for name in ("a", "b"):
        fetch_to(tmp_path / name, reader, formats=("npy", "nifti", "raw"))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 4 + 4  # pixels, volume, image_set.json, _SUCCESS; raw frames
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_raw_keeps_the_stored_streams(tmp_path: Path) -> None:
    reader = axial_series(slices(3))
    fetch_to(tmp_path / "x", reader, formats=("raw",))
    kept = [path.read_bytes() for path in sorted((tmp_path / "x" / "raw").iterdir())]
    assert kept == list(reader.frames.values())
    assert not (tmp_path / "x" / "pixels.npy").exists()


def test_nothing_about_the_patient_leaves(tmp_path: Path) -> None:
    series = {
        "Manufacturer": "ACME for VERYSECRET",
        "ManufacturerModelName": "Model 20230417",
        "SeriesDescription": "Liver of VERYSECRET",
        "ProtocolName": "Liver",
        "BodyPartExamined": "ABDOMEN",
    }
    attributes = axial(2)
    reader = MemoryReader(
        [InstanceSpec([frame], k + 1, attributes[k]) for k, frame in enumerate(slices(2))], series=series
    )
    result = fetch_to(tmp_path / "x", reader, formats=("npy", "nifti", "raw"))
    for path in (tmp_path / "x").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert not [secret for secret in SECRETS if secret.encode() in content or secret in path.name], path.name
    assert result.document.attributes["Modality"] == "CT"
    assert result.document.attributes["BodyPartExamined"] == "ABDOMEN"
    assert set(result.document.withheld_attributes) == {"Manufacturer", "ManufacturerModelName"}


def test_pseudonyms_are_keyed_and_join_the_label_table(tmp_path: Path) -> None:
    result = fetch_to(tmp_path / "x", axial_series(slices(2)))
    expected = [PSEUDONYMS.sop_instance(f"1.2.826.0.1.3680043.8.498.7.{number}") for number in (1, 2)]
    assert list(result.document.sop_instance_hashes()) == expected
    assert result.document.patient_pseudonym == PSEUDONYMS.patient("PID-31415926")


def test_patients_without_an_id_are_not_taken_for_one(tmp_path: Path) -> None:
    pseudonyms = []
    for study in ("1.2.3", "1.2.4"):
        reader = axial_series(slices(1))
        reader.document["Patient"]["DICOM"]["PatientID"] = None
        reader.document["Study"]["DICOM"]["StudyInstanceUID"] = study
        document = fetch_to(tmp_path / study, reader).document
        assert document.patient_pseudonym_of == "StudyInstanceUID"
        pseudonyms.append(document.patient_pseudonym)
    assert pseudonyms[0] != pseudonyms[1]


def test_latest_is_resolved_once_and_pinned(tmp_path: Path) -> None:
    reader = axial_series(slices(2))
    reader.is_primary = False
    result = fetch_to(tmp_path / "x", reader)
    assert reader.versions == ["3"]
    assert result.report.version_id == result.document.version_id == "3"
    assert result.report.is_primary is False


def test_frames_of_another_shape_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    volume, localizer = slices(4), slices(1, 20, 10, "<u2")[0]
    attributes = axial(4)
    specs = [InstanceSpec([localizer], 1)]
    specs += [InstanceSpec([volume[k]], k + 2, attributes[k]) for k in range(4)]
    document = fetch_to(tmp_path / "x", MemoryReader(specs)).document
    np.testing.assert_array_equal(np.load(tmp_path / "x" / "pixels.npy"), volume)
    np.testing.assert_array_equal(np.load(tmp_path / "x" / "pixels-1.npy")[0], localizer)
    assert [(frame.file, frame.index) for frame in document.frames][-2:] == [("pixels.npy", 3), ("pixels-1.npy", 0)]
    assert document.geometry is not None


def test_image_set_without_pixels_is_a_result_with_a_reason(tmp_path: Path) -> None:
    result = fetch_to(tmp_path / "x", MemoryReader([InstanceSpec([], 1, {"Modality": "SR"})]))
    assert result.document.frames == ()
    assert result.document.pixels is None
    assert result.document.no_pixels_reason
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["_SUCCESS", "image_set.json"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ImagePositionPatient": ["-30.5", "40.25", "103.2"]}, "not evenly spaced"),
        ({"ImagePositionPatient": ["-30.5", "40.25", "100"]}, "same position"),
        ({"ImageOrientationPatient": ["0", "1", "0", "0", "0", "-1"]}, "several orientations"),
        ({"PixelSpacing": ["0.5", "0.5"]}, "several pixel spacings"),
        ({"ImagePositionPatient": None}, "do not say where they stand"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic"),
        ({"ModalityLUTSequence": [{"LUTDescriptor": [1, 2, 3]}]}, "Modality LUT"),
    ],
)
def test_what_is_no_regular_volume_says_why(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    attributes = axial(4)
    attributes[1] |= change
    reader = MemoryReader([InstanceSpec([frame], k + 1, attributes[k]) for k, frame in enumerate(slices(4))])
    document = fetch_to(tmp_path / "x", reader).document
    assert document.geometry is None
    assert document.no_volume_reason is not None
    assert reason in document.no_volume_reason
    assert not (tmp_path / "x" / "volume.nii.gz").exists()
    assert (tmp_path / "x" / "pixels.npy").exists()


def _flip_bit(reader: MemoryReader, frame: str) -> None:
    damaged = bytearray(reader.frames[frame])
    damaged[len(damaged) // 2] ^= 0x10
    reader.frames[frame] = bytes(damaged)


def _other_pixels(reader: MemoryReader, frame: str) -> None:
    reader.frames[frame] = encode(slices(1, seed=99)[0])


def _cut(reader: MemoryReader, frame: str) -> None:
    reader.frames[frame] = reader.frames[frame][:-100]


def _other_size(reader: MemoryReader, frame: str) -> None:
    reader.frames[frame] = encode(slices(1, 14, 12)[0])


def _video(reader: MemoryReader, frame: str) -> None:
    del frame
    next(iter(reader.instances.values()))["StoredTransferSyntaxUID"] = "1.2.840.10008.1.2.4.102"


def _throttle(reader: MemoryReader, frame: str) -> None:
    def refuse(image_frame_id: str) -> None:
        if image_frame_id == frame:
            raise ThrottledError(f"frame {frame}: the service asks to slow down")

    reader.on_frame = refuse


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (_flip_bit, (ChecksumMismatchError, MalformedFrameError)),
        (_other_pixels, ChecksumMismatchError),
        (_cut, MalformedFrameError),
        (_other_size, MalformedFrameError),
        (_video, UnsupportedTransferSyntaxError),
        (_throttle, ThrottledError),
    ],
)
def test_a_bad_frame_is_named_and_leaves_nothing(tmp_path: Path, damage: Any, error: Any) -> None:
    reader = axial_series(slices(6))
    frame = next(iter(reader.frames))
    damage(reader, frame)
    with pytest.raises(error, match=frame):
        fetch_to(tmp_path / "x", reader)
    assert not (tmp_path / "x").exists()


def test_a_missing_frame_is_no_partial_volume(tmp_path: Path) -> None:
    reader = axial_series(slices(3))
    list(reader.instances.values())[1]["ImageFrames"] = []
    with pytest.raises(MalformedMetadataError, match=r"Instances\[1\].ImageFrames lists 0 frames instead of 1"):
        fetch_to(tmp_path / "x", reader)
    assert not (tmp_path / "x").exists()


def test_a_frame_without_checksum_is_not_trusted(tmp_path: Path) -> None:
    reader = axial_series(slices(2))
    list(reader.instances.values())[1]["ImageFrames"][0]["PixelDataChecksumFromBaseToFullResolution"] = []
    with pytest.raises(MalformedMetadataError, match="no checksum"):
        fetch_to(tmp_path / "x", reader)


def test_after_a_failure_no_further_frame_is_started(tmp_path: Path) -> None:
    reader = axial_series(slices(40))
    _flip_bit(reader, next(iter(reader.frames)))
    with pytest.raises(AhiflowError):
        fetch_to(tmp_path / "x", reader, frames_in_flight=1)
    assert reader.calls.count("GetImageFrame") == 1


def test_frames_in_flight_are_bounded(tmp_path: Path) -> None:
    reader = axial_series(slices(12))
    lock, flying, most = threading.Lock(), [0], [0]
    turns = threading.Barrier(3)

    def count(image_frame_id: str) -> None:
        with lock:
            flying[0] += 1
            most[0] = max(most[0], flying[0])
        turns.wait(timeout=30)  # passes only while three frames are in flight at once
        with lock:
            flying[0] -= 1

    reader.on_frame = count
    fetch_to(tmp_path / "x", reader, frames_in_flight=3)
    assert most[0] == 3


def test_more_frames_than_allowed_is_refused_by_name_of_the_limit(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="3 frames: MAX_FRAMES_PER_IMAGESET allows 2"):
        fetch_to(tmp_path / "x", axial_series(slices(3)), maximum_frames=2)


def test_metadata_of_another_image_set_is_refused(tmp_path: Path) -> None:
    reader = axial_series(slices(2))
    reader.document["ImageSetID"] = "6" * 32
    with pytest.raises(MalformedMetadataError, match="another image set"):
        fetch_to(tmp_path / "x", reader)


def test_unknown_image_set_is_one_clear_line(tmp_path: Path) -> None:
    class Nothing(MemoryReader):
        def get_image_set(self, ref: Any) -> Any:
            raise NotFoundError(f"{ref}: does not exist")

    with pytest.raises(NotFoundError, match=f"image set {IMAGE_SET} in data store d+: does not exist"):
        fetch_to(tmp_path / "x", Nothing([]))


def test_a_complete_output_is_checked_and_not_fetched_again(tmp_path: Path) -> None:
    reader = axial_series(slices(3))
    fetch_to(tmp_path / "x", reader)
    reader.calls.clear()
    again = fetch_to(tmp_path / "x", reader)
    assert again.report.already_present
    assert again.report.frames_verified == 3
    assert reader.calls == ["GetImageSet"]


@pytest.mark.parametrize("file", ["pixels.npy", "image_set.json", "_SUCCESS", "volume.nii.gz"])
def test_a_damaged_output_is_fetched_again(tmp_path: Path, file: str) -> None:
    volume = slices(3)
    fetch_to(tmp_path / "x", axial_series(volume))
    (tmp_path / "x" / file).write_bytes((tmp_path / "x" / file).read_bytes()[:-3])
    assert not fetch_to(tmp_path / "x", axial_series(volume)).report.already_present
    np.testing.assert_array_equal(np.load(tmp_path / "x" / "pixels.npy"), volume)


def test_another_version_format_or_key_is_fetched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = axial_series(slices(3))
    fetch_to(tmp_path / "x", reader, formats=("npy",))
    assert not fetch_to(tmp_path / "x", reader, formats=("npy", "nifti")).report.already_present
    assert not fetch_to(tmp_path / "x", reader, version="2").report.already_present
    monkeypatch.setattr("fetch_support.PSEUDONYMS", Pseudonyms(b"another key" * 4))
    assert not fetch_to(tmp_path / "x", reader, version="2").report.already_present


def test_an_earlier_output_leaves_no_stale_file(tmp_path: Path) -> None:
    fetch_to(tmp_path / "x", axial_series(slices(3)), formats=("npy", "nifti", "raw"))
    fetch_to(tmp_path / "x", axial_series(slices(2)), formats=("npy",), version="4")
    assert sorted(p.name for p in (tmp_path / "x").iterdir() if p.is_file()) == [
        "_SUCCESS",
        "image_set.json",
        "pixels.npy",
    ]


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigurationError, match="not empty"):
        fetch_to(tmp_path, axial_series(slices(1)))


def test_the_document_parses_back_and_names_the_field_that_is_wrong(tmp_path: Path) -> None:
    result = fetch_to(tmp_path / "x", axial_series(slices(2)))
    text = (tmp_path / "x" / "image_set.json").read_text()
    assert parse_image_set_document(text) == result.document
    broken = json.loads(text)
    broken["frames"][0]["crc32"] = "many"
    with pytest.raises(MalformedMetadataError, match=r"frames\.0\.crc32"):
        parse_image_set_document(json.dumps(broken))


def test_document_of_2023_without_stored_syntax_is_read(tmp_path: Path) -> None:
    volume, attributes = slices(3), axial(3)
    specs = [InstanceSpec([volume[k]], k + 1, attributes[k], stored_transfer_syntax_uid=None) for k in range(3)]
    fetch_to(tmp_path / "x", MemoryReader(specs))
    np.testing.assert_array_equal(np.load(tmp_path / "x" / "pixels.npy"), volume)


def test_enhanced_multi_frame_takes_its_geometry_from_functional_groups(tmp_path: Path) -> None:
    volume = slices(4)
    groups = [
        {
            "PlanePositionSequence": [{"ImagePositionPatient": ["1", "2", f"{10 - 3 * k}"]}],
            "PixelValueTransformationSequence": [{"RescaleSlope": "2", "RescaleIntercept": f"{k}"}],
        }
        for k in range(4)
    ]
    shared = {
        "PlaneOrientationSequence": [{"ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"]}],
        "PixelMeasuresSequence": [{"PixelSpacing": ["1", "1"], "SliceThickness": "3"}],
    }
    attributes = {"PerFrameFunctionalGroupsSequence": groups, "SharedFunctionalGroupsSequence": [shared]}
    fetch_to(tmp_path / "x", MemoryReader([InstanceSpec(list(volume), 1, attributes)]))
    image = nibabel.load(tmp_path / "x" / "volume.nii.gz")
    np.testing.assert_array_equal(np.load(tmp_path / "x" / "pixels.npy"), volume[::-1])
    np.testing.assert_allclose(image.affine @ [0, 0, 0, 1], [-1, -2, 1, 1], atol=1e-5)
    expected = (volume.astype(int) * 2 + np.arange(4)[:, None, None])[::-1]
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), expected)
