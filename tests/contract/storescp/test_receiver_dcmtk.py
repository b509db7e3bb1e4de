"""The receiver against dcmtk, an implementation that shares nothing with ours."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from receiver_process import Bucket, Receiver, wait_for

from ahiflow.batch import BatchManifest
from ahiflow.dicom.encoding import read_file_meta

pytestmark = pytest.mark.usefixtures("dcmtk")

# What storescu is told to propose, a file in that syntax.
SYNTAXES = {
    "explicit": ("-xe", "CT_small.dcm"),
    "implicit": ("-xi", "MR_small_implicit.dcm"),
    "big endian": ("-xb", "MR_small_bigendian.dcm"),
    "deflated": ("-xd", "image_dfl.dcm"),
    "JPEG baseline": ("-xy", "SC_rgb_jpeg_dcmtk.dcm"),
    "JPEG lossless": ("-xs", "SC_rgb_jpeg_gdcm.dcm"),
    "JPEG-LS": ("-xt", "MR_small_jpeg_ls_lossless.dcm"),
    "JPEG 2000 lossless": ("-xv", "MR_small_jp2klossless.dcm"),
    "JPEG 2000": ("-xw", "JPEG2000.dcm"),
    "RLE": ("-xr", "MR_small_RLE.dcm"),
}


def storescu(receiver: Receiver, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["storescu", "-v", "-aec", "AHIFLOW", *arguments[:-1], "127.0.0.1", str(receiver.port), arguments[-1]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_echo(receiver: Receiver) -> None:
    subprocess.run(["echoscu", "127.0.0.1", str(receiver.port)], check=True, timeout=30)


@pytest.mark.parametrize(("option", "name"), SYNTAXES.values(), ids=SYNTAXES)
def test_each_syntax_is_stored_as_it_was_sent(
    shared_receiver: Receiver, shared_bucket: Bucket, option: str, name: str
) -> None:
    path = get_testdata_file(name)
    before = set(shared_bucket.keys("batches/"))
    result = storescu(shared_receiver, option, str(path))
    assert result.returncode == 0, result.stdout + result.stderr
    (key,) = wait_for(lambda: set(shared_bucket.keys("batches/")) - before, "a batch manifest")
    manifest = BatchManifest.model_validate_json(shared_bucket.body(key))
    assert manifest.closed_because == "released"
    assert manifest.calling_ae_title == "STORESCU"
    (instance,) = manifest.instances
    stored = shared_bucket.body(instance.key)
    assert instance.transfer_syntax_uid == read_file_meta(Path(str(path)).read_bytes()).transfer_syntax_uid
    assert instance.size == len(stored)
    ours, theirs = pydicom.dcmread(str(path)), pydicom.dcmread(BytesIO(stored))
    ours.pop("DataSetTrailingPadding", None)  # storescu leaves it out
    # Values, not VRs: storescu corrects the OW of some encapsulated pixel data to OB.
    assert [(e.tag, e.value) for e in theirs] == [(e.tag, e.value) for e in ours], "the data set changed on its way"


def test_one_association_is_one_batch(receiver: Receiver, bucket: Bucket, tmp_path: Path) -> None:
    for number in range(5):
        instance = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
        instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        instance.save_as(tmp_path / f"{number}.dcm")
    assert storescu(receiver, "+sd", str(tmp_path)).returncode == 0
    manifest = bucket.one_manifest()
    assert {instance.sop_instance_uid for instance in manifest.instances} == {f"1.2.3.{n}" for n in range(5)}
    assert sorted(bucket.keys(manifest.prefix)) == sorted(instance.key for instance in manifest.instances)


def test_an_echo_writes_nothing(receiver: Receiver, bucket: Bucket) -> None:
    subprocess.run(["echoscu", "127.0.0.1", str(receiver.port)], check=True, timeout=30)
    assert receiver.terminate() == 0
    assert bucket.keys("") == []
