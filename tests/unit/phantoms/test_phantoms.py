"""The phantom cohort: what the demo trains on must be sound CT, and the labels must be true."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ahiflow.dicom.data_set import identify
from ahiflow.dicom.encoding import read_file_meta
from ahiflow.dicom.sendable import SendableFile, inspect
from tools.demo.phantoms import SLICES, write_cohort
from tools.demo.real_files import real_files

PATIENTS = 12


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    assert write_cohort(folder, patients=PATIENTS) == folder / "labels.csv"
    return folder


@pytest.fixture(scope="module")
def instances(cohort: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(cohort.rglob("*.dcm"))]


def rows(cohort: Path) -> list[dict[str, str]]:
    with (cohort / "labels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_file_has_one_label_and_classes_are_balanced_by_patient(cohort: Path) -> None:
    table = rows(cohort)
    assert list(table[0]) == ["file", "label_lesion", "patient"]
    assert {row["file"] for row in table} == {path.relative_to(cohort).as_posix() for path in cohort.rglob("*.dcm")}
    by_patient = {row["patient"]: row["label_lesion"] for row in table}
    assert Counter(by_patient.values()) == {"0": PATIENTS // 2, "1": PATIENTS // 2}
    assert all(row["label_lesion"] == by_patient[row["patient"]] for row in table)


def test_the_table_names_the_patient_of_the_file(cohort: Path) -> None:
    for row in rows(cohort):
        assert pydicom.dcmread(cohort / row["file"], stop_before_pixels=True).PatientID == row["patient"]


def test_slices_stand_where_they_say(instances: list[pydicom.Dataset]) -> None:
    for study in {instance.StudyInstanceUID for instance in instances}:
        series = sorted((i for i in instances if i.StudyInstanceUID == study), key=lambda i: i.InstanceNumber)
        assert len(series) == SLICES
        assert len({i.SeriesInstanceUID for i in series}) == 1
        heights = [float(i.ImagePositionPatient[2]) for i in series]
        assert np.allclose(np.diff(heights), -float(series[0].SliceThickness), atol=0.051)
    assert len({instance.SOPInstanceUID for instance in instances}) == len(instances)


def test_values_are_hounsfield_units_of_a_chest(instances: list[pydicom.Dataset]) -> None:
    for instance in instances:
        hounsfield = instance.pixel_array * float(instance.RescaleSlope) + float(instance.RescaleIntercept)
        assert hounsfield.dtype == np.float64
        assert -1024 <= hounsfield.min() < -950
        assert np.median(hounsfield[:10, :10]) == pytest.approx(-1000, abs=30)  # air outside
        assert hounsfield[85, 64] > 150  # the vertebra
        assert 500 < hounsfield.max() < 1500  # cortical bone


def test_a_lesion_can_be_seen_in_each_labelled_slice(cohort: Path) -> None:
    """Soft tissue inside the lungs: more of it in every slice with a lesion than in most without."""
    dense: dict[str, list[int]] = {"0": [], "1": []}
    for row in rows(cohort):
        image = pydicom.dcmread(cohort / row["file"]).pixel_array.astype(int) - 1024
        lungs = np.concatenate((image[45:80, 30:50], image[45:80, 78:98]), axis=1)
        dense[row["label_lesion"]].append(int((lungs > -500).sum()))
    assert np.mean(dense["1"]) > 1.3 * np.mean(dense["0"])


def test_scanners_differ_in_encoding_and_noise(instances: list[pydicom.Dataset]) -> None:
    noise: dict[str, list[float]] = {}
    for instance in instances:
        noise.setdefault(instance.ManufacturerModelName, []).append(float(instance.pixel_array[60:66, 60:66].std()))
    assert len(noise) >= 2
    assert len({instance.file_meta.TransferSyntaxUID for instance in instances}) == 2
    assert all(instance.PatientName == f"PHANTOM^{instance.PatientID[-3:]}" for instance in instances)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_cohort(tmp_path / name, patients=2, seed=seed)
    first, same, other = ([p.read_bytes() for p in sorted((tmp_path / n).rglob("*.*"))] for n in "abc")
    assert first == same
    assert first != other


def test_real_files_are_whole_and_identifiable() -> None:
    files = [inspect(path) for path in real_files()]
    assert all(isinstance(found, SendableFile) for found in files), files
    facts = []
    for path in real_files():
        data = path.read_bytes()
        meta = read_file_meta(data)
        facts.append((identify(data[meta.data_set_offset :], meta.transfer_syntax_uid), meta.transfer_syntax_uid))
    assert len({one.modality for one, _ in facts}) >= 6
    assert len({syntax for _, syntax in facts}) >= 6
