"""Real files: each is imported or refused with a reason, and what is imported decodes to what other decoders gave."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from healthimaging_support import HealthImaging, only_series, require_shared_data

from localcloud.healthimaging.importing.instance import FileRefusedError, stage
from localcloud.healthimaging.pixels.htj2k import read_codestream
from localcloud.healthimaging.pixels.syntaxes import EXPLICIT_LITTLE, HTJ2K_LOSSLESS_RPCL
from localcloud.healthimaging.switches import Switches

SWITCHES = Switches()
BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"


def staged(file: Path, target: Path) -> tuple[dict[str, Any], list[bytes]]:
    """Import one file by itself; its record and its stored frames."""
    instance = stage(file, file.name, "job", target, "HTJ2K", SWITCHES)
    record = json.loads(instance.staged.read_text())
    data = instance.staged.with_suffix(".frames").read_bytes() if record["frames"] else b""
    return record, [data[frame["start"] : frame["start"] + frame["length"]] for frame in record["frames"]]


def decoded(record: dict[str, Any], frames: list[bytes], expected: dict[str, Any]) -> np.ndarray[Any, Any] | None:
    """The stored frames as one array; None where they were kept in a compressed form of their own."""
    if record["stored_transfer_syntax_uid"] == HTJ2K_LOSSLESS_RPCL:
        arrays = [imagecodecs.htj2k_decode(frame, planar=False) for frame in frames]
    elif record["stored_transfer_syntax_uid"] == EXPLICIT_LITTLE and record["levels"]["Instance"]["BitsAllocated"] == 1:
        size = math.prod(expected["shape"]) // len(frames)
        arrays = [np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:size] for frame in frames]
    else:
        return None
    return np.stack(arrays) if len(arrays) > 1 else arrays[0]


def test_decoded_frames_equal_what_two_other_decoders_gave(tmp_path: Path) -> None:
    data = require_shared_data() / "dev"
    counts: Counter[str] = Counter()
    wrong = []
    for row in json.loads((data / "manifest.json").read_text()):
        expected = row.get("expect") or {}
        try:
            record, frames = staged(data / row["file"], tmp_path / "one")
        except FileRefusedError as refused:
            assert str(refused), row["file"]
            counts["refused"] += 1
            continue
        array = decoded(record, frames, expected) if frames else None
        if array is None or "md5" not in expected:
            counts["no pixels" if not frames else "kept or nothing to compare"] += 1
            continue
        if expected["kind"] == "image_near":  # lossy JPEG: the two decoders differ from each other by one, too
            near = abs(int(array.max()) - expected["max"]) <= expected["gdcm_maxdiff"]
            counts["near"] += near
            continue
        same = hashlib.md5(np.ascontiguousarray(array).tobytes()).hexdigest() == expected["md5"]
        counts["equal" if same else "different"] += 1
        if not same:
            wrong.append(row["file"])
    assert wrong == []
    assert counts["equal"] > 300, counts
    assert counts["near"] == 1


@pytest.mark.parametrize("file", ["CT_small.dcm", "MR_small.dcm", "SC_rgb_small_odd.dcm", "SC_rgb_rle_32bit.dcm"])
def test_codestreams_are_what_the_transfer_syntax_promises(file: str, tmp_path: Path) -> None:
    """PS3.5 10.18: RPCL, TLM, base resolution of at most 64; HealthImaging: a tile-part for each resolution."""
    record, frames = staged(bundled(file), tmp_path / "one")
    image = record["levels"]["Instance"]
    for frame in frames:
        facts = read_codestream(frame)
        assert (facts.progression, facts.has_tlm, facts.reversible, facts.high_throughput) == (2, True, True, True)
        assert facts.tile_parts == facts.levels + 1
        assert -(-max(image["Rows"], image["Columns"]) >> facts.levels) <= 64


def bundled(name: str) -> Path:
    return BUNDLED / name


def test_every_bundled_file_is_imported_or_refused_with_a_reason(ahi: HealthImaging) -> None:
    folders = (BUNDLED, BUNDLED.parent / "charset_files")
    paths = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    files = {str(path.relative_to(BUNDLED.parent)): path.read_bytes() for path in paths}
    assert len(files) > 150
    store = ahi.datastore()
    ahi.put("all/", files)
    job = ahi.ended(store, ahi.start_import(store, "all/"))
    assert job["jobStatus"] == "COMPLETED"
    summary = json.loads(ahi.output(job, "job-output-manifest.json"))["jobSummary"]
    success = ahi.lines(job, "SUCCESS/success.ndjson")
    warning = ahi.lines(job, "WARNING/warning.ndjson")
    failure = ahi.lines(job, "FAILURE/failure.ndjson")
    listed = [line["inputFile"] for line in success + warning + failure]
    assert sorted(listed) == sorted(f"all/{name}" for name in files)
    assert all(line["exception"]["message"] for line in failure)
    assert summary["numberOfScannedFiles"] == len(files)
    assert summary["numberOfImportedFiles"] == len(success) + len(warning)
    assert len(success) > 100

    for image_set in summary["imageSetsSummary"]:
        document = ahi.metadata(store, image_set["imageSetId"])
        for instance in only_series(document)["Instances"].values():
            for frame in instance["ImageFrames"][:1]:
                data, content_type = ahi.frame(store, image_set["imageSetId"], frame["ID"])
                assert len(data) == frame["FrameSizeInBytes"]
                assert (content_type == "image/jph") == (instance["StoredTransferSyntaxUID"] == HTJ2K_LOSSLESS_RPCL)


def test_the_labelled_ct_has_one_series_that_cannot_be_primary(ahi: HealthImaging) -> None:
    folder = require_shared_data() / "dev" / "labelled_ct_contrast"
    files = {path.name: path.read_bytes() for path in folder.glob("*.dcm")}
    summary = ahi.import_files(ahi.datastore(), "ct/", files)
    assert summary["numberOfImportedFiles"] == 20
    assert [image_set["isPrimary"] for image_set in summary["imageSetsSummary"]].count(False) == 1


def test_attributes_agree_with_pydicom(tmp_path: Path) -> None:
    """Every keyword of the file is in the document, at the level that the developer guide lists."""
    record, _ = staged(bundled("CT_small.dcm"), tmp_path / "one")
    dataset = pydicom.dcmread(bundled("CT_small.dcm"))
    keywords = {element.keyword for element in dataset if element.keyword} - {"PixelData", "DataSetTrailingPadding"}
    found = {keyword for level in record["levels"].values() for keyword in level}
    assert keywords - found == set()
    assert record["levels"]["Series"]["FrameOfReferenceUID"] == dataset.FrameOfReferenceUID
    assert record["levels"]["Instance"]["RescaleIntercept"].strip() == str(dataset.RescaleIntercept)
    assert record["vrs"]["00091001"] == "LO"
