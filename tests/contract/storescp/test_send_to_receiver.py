"""`ahiflow send` to the receiver as shipped: bytes, counts, and what happens to bad files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from receiver_process import ROOT, Bucket, Receiver, wait_for

from ahiflow.dicom.encoding import read_file_meta


def run_send(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "AHIFLOW_DICOM_HOST": "127.0.0.1",
        "AHIFLOW_DICOM_PORT": str(port),
        "AHIFLOW_CALLED_AE_TITLE": "AHIFLOW",
    }
    command = [sys.executable, "-m", "ahiflow.cli.main", "send", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def send_json(port: int, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = run_send(port, "--json", *arguments)
    return result.returncode, json.loads(result.stdout)


def bundled(name: str) -> str:
    return str(get_testdata_file(name))


def write_study(folder: Path, study: int, instances: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(instances):
        instance = pydicom.dcmread(bundled("CT_small.dcm"))
        instance.StudyInstanceUID = f"1.2.3.{study}"
        instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{study}.{number}"
        instance.save_as(folder / f"{study}-{number}.dcm")


def test_what_is_stored_is_what_lay_in_the_file(receiver: Receiver, bucket: Bucket) -> None:
    files = [
        bundled(name)
        for name in ("MR_small_RLE.dcm", "image_dfl.dcm", "ExplVR_BigEnd.dcm", "693_J2KI.dcm", "rtplan.dcm")
    ]
    code, summary = send_json(receiver.port, *files)
    assert code == 0, summary
    assert (summary["sent"], summary["acknowledged"], summary["refused"]) == (5, 5, [])
    manifests = wait_for(lambda: len(found := bucket.manifests()) == summary["associations"] and found, "all manifests")
    stored = [bucket.body(instance.key) for manifest in manifests for instance in manifest.instances]
    data_sets = {body[read_file_meta(body).data_set_offset :] for body in stored}
    originals = [Path(file).read_bytes() for file in files]
    assert data_sets == {body[read_file_meta(body).data_set_offset :] for body in originals}


def test_each_study_is_one_batch(receiver: Receiver, bucket: Bucket, tmp_path: Path) -> None:
    for study in range(3):
        write_study(tmp_path / str(study), study, 4)
    code, summary = send_json(receiver.port, "--parallel", "3", str(tmp_path))
    assert (code, summary["acknowledged"], summary["associations"]) == (0, 12, 3)
    manifests = wait_for(lambda: len(found := bucket.manifests()) == 3 and found, "three manifests")
    for manifest in manifests:
        assert len({instance.study_instance_uid for instance in manifest.instances}) == 1
        assert len(manifest.instances) == 4


def test_bad_files_are_named_and_the_rest_is_sent(receiver: Receiver, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a DICOM file")
    (tmp_path / "short.dcm").write_bytes(Path(bundled("CT_small.dcm")).read_bytes()[:-1000])
    (tmp_path / "empty.dcm").touch()
    write_study(tmp_path, 1, 2)
    result = run_send(receiver.port, str(tmp_path), str(tmp_path / "absent.dcm"))
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 4, result.stderr
    assert any("notes.txt: not a DICOM file" in line for line in lines)
    assert any("short.dcm: the data set ends inside element (7FE0,0010)" in line for line in lines)
    assert any("absent.dcm: cannot be read" in line for line in lines)
    assert "2 of 6 files acknowledged, 4 refused" in result.stdout
    assert len(bucket.one_manifest().instances) == 2


def test_no_receiver_is_one_line(tmp_path: Path) -> None:
    write_study(tmp_path, 1, 2)
    result = run_send(1, str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == "ahiflow: no DICOM receiver answers at AHIFLOW@127.0.0.1:1\n"


def test_the_same_instance_twice_is_stored_twice(receiver: Receiver, bucket: Bucket, tmp_path: Path) -> None:
    write_study(tmp_path, 1, 1)
    (tmp_path / "again.dcm").write_bytes((tmp_path / "1-0.dcm").read_bytes())
    code, summary = send_json(receiver.port, str(tmp_path))
    assert (code, summary["acknowledged"]) == (0, 2)
    manifest = bucket.one_manifest()
    assert sorted(instance.key.rpartition("/")[2] for instance in manifest.instances) == [
        "1.2.3.1.0.1.dcm",
        "1.2.3.1.0.dcm",
    ]


@pytest.mark.parametrize("name", ["rtdose.dcm", "badVR.dcm"])
def test_a_file_whose_meta_names_another_instance_is_sent_as_what_it_is(
    receiver: Receiver, bucket: Bucket, name: str
) -> None:
    code, summary = send_json(receiver.port, bundled(name))
    assert code == 0, summary
    (instance,) = bucket.one_manifest().instances
    assert instance.sop_instance_uid == pydicom.dcmread(bundled(name)).SOPInstanceUID
