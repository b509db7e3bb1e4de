"""The fetcher container's entry point against the emulator: argv and environment in, artifacts and fetch.json out."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest

from ahiflow.errors import AhiflowError, ConfigurationError, NotFoundError
from ahiflow.fetching.run import FetchResult, Silent
from ahiflow.image_set_document import FetchReport, parse_image_set_document
from fetcher_image.fetch import run
from localcloud.healthimaging.errors import ConflictError, ThrottlingError

ROOT = Path(__file__).parents[3]


def environ(tmp_path: Path, **more: str) -> dict[str, str]:
    return {
        "ARTIFACTS_BUCKET_NAME": "artifacts",
        "PSEUDONYM_SECRET_ID": "ahiflow/pseudonym-key",
        "AHIFLOW_CONTAINER_ROOT": str(tmp_path / "ml"),
        **more,
    }


def arguments(datastore_id: str, image_set_id: str, version_id: str = "latest") -> list[str]:
    return ["--datastore-id", datastore_id, "--image-set-id", image_set_id, "--version-id", version_id]


@pytest.fixture
def imported(services: Any) -> tuple[str, str]:
    """CT_small of pydicom: (data store id, image set id)."""
    datastore_id = services.datastore()
    content = Path(str(pydicom.data.get_testdata_file("CT_small.dcm"))).read_bytes()
    (image_set_id,) = services.import_files(datastore_id, {"CT_small.dcm": content})
    return datastore_id, image_set_id


def fetch(
    services: Any, tmp_path: Path, imported: tuple[str, str], version_id: str = "latest", **more: str
) -> FetchResult:
    return run(arguments(*imported, version_id), environ(tmp_path, **more), services.client, Silent())


def test_the_output_lies_where_the_next_step_looks(services: Any, tmp_path: Path, imported: tuple[str, str]) -> None:
    fetch(services, tmp_path, imported)
    report = json.loads((tmp_path / "ml" / "processing" / "output" / "fetch" / "fetch.json").read_text())
    prefix = f"image-sets/{imported[0]}/{imported[1]}/1/"
    assert report["image_set_uri"] == f"s3://artifacts/{prefix}"
    assert (report["frames_fetched"], report["frames_verified"]) == (1, 1)
    assert FetchReport.model_validate(report).version_id == "1"
    found = services.s3.list_objects_v2(Bucket="artifacts", Prefix=prefix)["Contents"]
    names = sorted(item["Key"].removeprefix(prefix) for item in found)
    assert names == ["_SUCCESS", "image_set.json", "pixels.npy", "volume.nii.gz"]
    pixels = np.load(io.BytesIO(services.s3.get_object(Bucket="artifacts", Key=prefix + "pixels.npy")["Body"].read()))
    dataset = pydicom.dcmread(str(pydicom.data.get_testdata_file("CT_small.dcm")))
    np.testing.assert_array_equal(pixels[0], pydicom.pixels.pixel_array(dataset))
    assert pixels.dtype == np.int16
    document = services.s3.get_object(Bucket="artifacts", Key=prefix + "image_set.json")["Body"].read()
    assert parse_image_set_document(document).attributes["Modality"] == "CT"
    assert str(dataset.PatientID).encode() not in document


def test_a_second_run_says_that_it_was_there(services: Any, tmp_path: Path, imported: tuple[str, str]) -> None:
    fetch(services, tmp_path, imported)
    assert fetch(services, tmp_path, imported).report.already_present


def test_an_old_version_stays_readable(services: Any, tmp_path: Path, imported: tuple[str, str]) -> None:
    content = Path(str(pydicom.data.get_testdata_file("CT_small.dcm"))).read_bytes()
    services.import_files(imported[0], {"CT_small.dcm": content})
    assert fetch(services, tmp_path, imported).report.version_id == "2"
    assert fetch(services, tmp_path, imported, "1").report.version_id == "1"


def test_conflict_and_throttling_pass(services: Any, tmp_path: Path, imported: tuple[str, str]) -> None:
    services.emulator.faults.fail("GetImageSetMetadata", ConflictError("not consistent yet"), 2)
    services.emulator.faults.fail("GetImageFrame", ThrottlingError("slow down"), 1)
    assert fetch(services, tmp_path, imported).report.frames_verified == 1


def test_a_flipped_bit_fails_and_names_the_frame(services: Any, tmp_path: Path, imported: tuple[str, str]) -> None:
    document = services.medical_imaging.get_image_set_metadata(datastoreId=imported[0], imageSetId=imported[1])
    frame = json.loads(gzip.decompress(document["imageSetMetadataBlob"].read()))
    (series,) = frame["Study"]["Series"].values()
    (instance,) = series["Instances"].values()
    image_frame_id = instance["ImageFrames"][0]["ID"]
    services.emulator.faults.flip_bit(image_frame_id, 8 * 4000)
    with pytest.raises(AhiflowError, match=image_frame_id):
        fetch(services, tmp_path, imported)
    assert "Contents" not in services.s3.list_objects_v2(Bucket="artifacts", Prefix="image-sets/")
    assert not (tmp_path / "ml" / "processing" / "output" / "fetch" / "fetch.json").exists()


def test_unknown_image_set(services: Any, tmp_path: Path, imported: tuple[str, str]) -> None:
    with pytest.raises(NotFoundError, match=f"image set {'0' * 32} in data store {imported[0]}: does not exist"):
        fetch(services, tmp_path, (imported[0], "0" * 32))


def test_frame_limit_of_the_environment(services: Any, tmp_path: Path) -> None:
    datastore_id = services.datastore()
    content = Path(str(pydicom.data.get_testdata_file("rtdose.dcm"))).read_bytes()
    (image_set_id,) = services.import_files(datastore_id, {"rtdose.dcm": content})
    with pytest.raises(ConfigurationError, match="15 frames: MAX_FRAMES_PER_IMAGESET allows 14"):
        fetch(services, tmp_path, (datastore_id, image_set_id), MAX_FRAMES_PER_IMAGESET="14")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "the following arguments are required: --datastore-id, --image-set-id"),
        (arguments("nonsense", "0" * 32), "not a HealthImaging data store id"),
        (arguments("0" * 32, "1" * 32, "newest"), "not an image set version id"),
    ],
)
def test_a_failure_is_one_line_in_three_places(tmp_path: Path, given: list[str], message: str) -> None:
    variables = environ(tmp_path) | {"AWS_DEFAULT_REGION": "us-east-1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "fetcher_image", *given],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert message in line
    assert line == "fetcher: " + (tmp_path / "ml" / "output" / "message").read_text()
