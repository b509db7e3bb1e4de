"""Real data through the emulator and the fetcher: exact arrays, and volumes where independent references put them."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from fetch_support import SHARED_DATA, image_pixel_of
from pydicom.encaps import generate_frames

from ahiflow.fetching.destination import LocalDestination
from ahiflow.fetching.run import FetchRequest, FetchResult, fetch_image_set
from ahiflow.healthimaging.metadata import parse_metadata
from ahiflow.healthimaging.reader import Boto3ImageSetReader
from ahiflow.pixels import transfer_syntaxes as ts
from ahiflow.pixels.decode import decode_frame
from ahiflow.pseudonym import Pseudonyms

PSEUDONYMS = Pseudonyms(b"the key of the contract tests, 32 bytes")
DEV = SHARED_DATA / "dev"

# Where no two decoders need agree: lossy 12-bit JPEG, whose IDCT may round apart (10918-1 A.3.3).
APPROXIMATE = {"pydicom/JPGExtended.dcm": 1}
CODEC_SYNTAXES = {
    ts.JPEG_BASELINE,
    ts.JPEG_EXTENDED,
    ts.JPEG_LOSSLESS_SV1,
    ts.JPEG_LS_LOSSLESS,
    ts.JPEG_LS_NEAR_LOSSLESS,
    ts.JPEG_2000_LOSSLESS,
    ts.JPEG_2000,
    ts.HTJ2K_LOSSLESS,
    ts.HTJ2K,
    ts.RLE_LOSSLESS,
}


@pytest.fixture
def dev() -> Path:
    if not DEV.is_dir():
        if os.environ.get("CI"):
            pytest.fail("../shared/data is missing")
        pytest.skip("needs ../shared/data")
    return DEV


def fetch(services: Any, datastore_id: str, image_set_id: str, directory: Path) -> FetchResult:
    request = FetchRequest(datastore_id, image_set_id, "latest", frozenset({"npy", "nifti"}))
    reader = Boto3ImageSetReader(services.medical_imaging)
    return fetch_image_set(request, reader, PSEUDONYMS, lambda version: LocalDestination(directory))


def rounds(rows: Mapping[str, Any]) -> Iterator[list[str]]:
    """Files in rounds without a SOP Instance UID twice: many test files are variants of one instance."""
    by_uid = defaultdict(list)
    for file, row in rows.items():
        by_uid[row["iuid"]].append(file)
    for k in range(max(len(files) for files in by_uid.values())):
        yield [files[k] for files in by_uid.values() if k < len(files)]


def instance_array(directory: Path, result: FetchResult, sop_instance_uid: str) -> Any:
    """Frames of one instance, stacked as pydicom gives them."""
    wanted = PSEUDONYMS.sop_instance(sop_instance_uid)
    frames = [frame for frame in result.document.frames if frame.sop_instance_hash == wanted]
    frames.sort(key=lambda frame: frame.frame_number)
    arrays = [np.load(directory / frame.file, mmap_mode="r")[frame.index] for frame in frames]
    return arrays[0] if len(arrays) == 1 else np.stack(arrays)


# What is no single regular volume, by folder, and what the document says of it.
REASONS = {
    "series_mr_ge_epi": "same position",
    "series_mr_siemens_multiecho": "same position",
    "enhanced_mr": "same position",
    "series_mr_siemens_mosaic": "mosaic",
}


def expected_arrays(dev: Path) -> dict[str, Any]:
    """Rows of the manifest for files whose decoded array is known."""
    rows = json.loads((dev / "manifest.json").read_text())
    return {row["file"]: row for row in rows if "md5" in (row.get("expect") or {})}


def is_as_expected(file: str, array: Any, expected: Mapping[str, Any]) -> bool:
    """Whether an array is, bit for bit, what pydicom and GDCM gave (nearly, where lossy decoders may differ)."""
    if (list(array.shape), str(array.dtype)) != (expected["shape"], expected["dtype"]):
        return False
    if file in APPROXIMATE:
        return abs(float(array.max()) - expected["max"]) <= APPROXIMATE[file]
    return hashlib.md5(array.tobytes(), usedforsecurity=False).hexdigest() == expected["md5"]


def test_every_imported_file_decodes_to_what_two_other_decoders_gave(services: Any, tmp_path: Path, dev: Path) -> None:
    rows = {file: row for file, row in expected_arrays(dev).items() if row["study"] and row["series"] and row["iuid"]}
    wrong, fetched, reasons = [], set(), defaultdict(set)
    for number, files in enumerate(rounds(rows)):
        datastore_id = services.datastore()
        imported = services.import_files(datastore_id, {file: (dev / file).read_bytes() for file in files})
        for image_set_id, members in imported.items():
            directory = tmp_path / str(number) / image_set_id
            result = fetch(services, datastore_id, image_set_id, directory)
            reasons[members[0].partition("/")[0]].add(result.document.no_volume_reason)
            fetched.update(members)
            for file in members:
                array = instance_array(directory, result, rows[file]["iuid"])
                if not is_as_expected(file, array, rows[file]["expect"]):
                    wrong.append(file)
    assert wrong == []
    assert fetched == rows.keys()
    assert len(fetched) > 300
    for folder, reason in REASONS.items():
        assert all(reason in str(given) for given in reasons[folder]), (folder, reasons[folder])


def test_every_compressed_frame_decodes_to_what_two_other_decoders_gave(dev: Path) -> None:
    wrong, checked = [], set()
    for file, row in expected_arrays(dev).items():
        if row["ts"] not in CODEC_SYNTAXES:
            continue
        dataset = pydicom.dcmread(dev / file, force=True)
        count = int(dataset.get("NumberOfFrames", 1) or 1)
        frames = [
            decode_frame(frame, image_pixel_of(dataset), row["ts"])
            for frame in generate_frames(dataset.PixelData, number_of_frames=count)
        ]
        array = frames[0] if count == 1 else np.stack(frames)
        checked.add(row["ts"])
        if not is_as_expected(file, array, row["expect"]):
            wrong.append(file)
    assert wrong == []
    assert checked == CODEC_SYNTAXES


@pytest.mark.parametrize(
    ("folder", "files", "reference"),
    [
        ("series_ct_small", "*.dcm", "ref/dcm2niix.nii"),
        ("ct_with_seg", "0?.dcm", "ref/dcm2niix.nii"),
    ],
)
def test_volume_equals_the_reference_at_the_same_world_coordinates(
    services: Any, tmp_path: Path, dev: Path, folder: str, files: str, reference: str
) -> None:
    datastore_id = services.datastore()
    contents = {path.name: path.read_bytes() for path in (dev / folder).glob(files)}
    (image_set_id,) = services.import_files(datastore_id, contents)
    fetch(services, datastore_id, image_set_id, tmp_path / "x")
    ours = nibabel.as_closest_canonical(nibabel.load(tmp_path / "x" / "volume.nii.gz"))
    theirs = nibabel.as_closest_canonical(nibabel.load(dev / folder / reference))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-4)
    np.testing.assert_array_equal(ours.get_fdata(), theirs.get_fdata())


@pytest.mark.parametrize("year", [2023, 2025])
def test_real_metadata_documents_parse(year: int) -> None:
    path = SHARED_DATA / "healthimaging-metadata" / f"example-metadata-{year}.json"
    if not path.is_file():
        if os.environ.get("CI"):
            pytest.fail("../shared/data is missing")
        pytest.skip("needs ../shared/data")
    ((_series, instance),) = parse_metadata(path.read_bytes()).instances()
    assert instance.pixels is not None
    assert instance.image_frames[0].checksum is not None
    facts = (instance.pixels.rows, instance.pixels.pixel_representation, instance.image_frames[0].checksum.crc32)
    assert facts == {2023: (512, 1, 1497588823), 2025: (640, 0, 989529591)}[year]
    assert (instance.stored_transfer_syntax_uid is None) == (year == 2023)
