"""A planted patient: none of its attributes may stand in anything that comes after the receiver and HealthImaging."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pydicom
from machine_support import Machine, wait_until
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

CANARY = {
    "PatientName": "CANARYBIRD^ZEPHYRINE",
    "PatientID": "CANARY-7319-QX",
    "PatientBirthDate": "19031117",
    "OtherPatientIDs": "CANARYOTHER-55",
    "AccessionNumber": "CANARYACC991",
    "ReferringPhysicianName": "CANARYREF^DOCTOR",
    "InstitutionName": "CANARY HOSPITAL OF NOWHERE",
    "StudyDescription": "CANARY study text",
    "SeriesDescription": "CANARY series text",
    "PatientComments": "CANARY comment",
    "PatientAddress": "CANARY street 1",
    "StationName": "CANARYSTATION",
    "OperatorsName": "CANARYOPERATOR",
}
NEEDLES = [value.encode() for value in CANARY.values()] + [b"CANARY", b"ZEPHYRINE"]


def planted(folder: Path) -> Path:
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    for keyword, value in CANARY.items():
        setattr(dataset, keyword, value)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, generate_uid())
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path = folder / "planted.dcm"
    dataset.save_as(path)
    return path


def after_the_fetcher(state: Path, ingest_bucket: str) -> Iterator[Path]:
    """Every file of the state but what must hold the patient: the received originals and HealthImaging's own store."""
    for path in state.rglob("*"):
        parts = path.relative_to(state).parts
        if path.is_file() and parts[0] != "healthimaging" and ingest_bucket not in parts:
            yield path


def test_a_planted_patient_is_nowhere_past_the_fetcher(machine: Machine, tmp_path: Path) -> None:
    path = planted(tmp_path)
    uid = str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    sent = machine.ahiflow("send", str(path))
    assert sent.returncode == 0, sent.stderr
    wait_until(lambda: "Succeeded" in machine.ahiflow("status", uid).stdout, "the planted study's execution")
    said = (
        sent.stdout + sent.stderr + machine.ahiflow("status", uid, "--json").stdout + machine.ahiflow("status").stdout
    )
    assert not [needle for needle in NEEDLES if needle in said.encode()]
    ingest = machine.facts["ingest_bucket"]
    machine.down()  # what is only in memory is written now

    received = [p for p in machine.state.rglob("*") if p.is_file() and ingest in p.parts]
    assert any(b"CANARYBIRD" in p.read_bytes() for p in received), "the search would find it where it must be"
    searched, hits = 0, []
    for path in after_the_fetcher(machine.state, ingest):
        body = path.read_bytes()
        body += gzip.decompress(body) if body[:2] == b"\x1f\x8b" else b""
        searched += 1
        hits += [f"{path.relative_to(machine.state)}: {n!r}" for n in NEEDLES if n in body or n in str(path).encode()]
    assert searched > 20
    assert hits == []
