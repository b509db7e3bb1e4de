"""A labelled cohort of phantom CT: chest-like slices with and without a lesion, as CT Image Storage (PS3.3 A.3).

No patient stands behind it. The same seed gives the same bytes, UIDs included.

    python -m tools.demo.phantoms OUT [--patients 24] [--seed 7]
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

DEFAULT_PATIENTS: Final = 24
DEFAULT_SEED: Final = 7
SIZE: Final = 128  # rows and columns
SLICES: Final = 8
LABEL_COLUMN: Final = "label_lesion"

_UID_ROOT: Final = "2.25"  # a UUID as a decimal, PS3.5 B.2
_INTERCEPT: Final = -1024
_AIR, _LUNG, _FAT, _MUSCLE, _HEART, _BONE = -1000.0, -820.0, -90.0, 45.0, 60.0, 480.0  # HU

Image = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Scanner:
    """An invented scanner: its name, its noise (HU, one sigma), blur (pixels), slice spacing (mm) and encoding."""

    manufacturer: str
    model: str
    noise: float
    blur: float
    spacing: float
    transfer_syntax_uid: str


_SCANNERS: Final = (
    _Scanner("PHANTOM WORKS", "Alpha 16", 28.0, 0.9, 5.0, ExplicitVRLittleEndian),
    _Scanner("PHANTOM WORKS", "Alpha 64", 16.0, 0.6, 3.0, ImplicitVRLittleEndian),
    _Scanner("SYNTHETICA", "Clarity", 9.0, 0.7, 2.5, ExplicitVRLittleEndian),
)


@dataclass(frozen=True, slots=True)
class _Lesion:
    """A nodule: centre (slice, row, column), radius in pixels, contrast to the tissue around it in HU."""

    slice: float
    row: float
    column: float
    radius: float
    contrast: float


@dataclass(frozen=True, slots=True)
class _Patient:
    number: int
    name: str
    sex: str
    age: int
    scanner: _Scanner
    lesion: _Lesion | None


def write_cohort(folder: Path, patients: int = DEFAULT_PATIENTS, seed: int = DEFAULT_SEED) -> Path:
    """Write one study with one series for each patient, and ``labels.csv`` beside them; returns the table's path.

    Every second patient has a lesion. The table has a row per file: ``file`` (relative to the folder), ``label_lesion``
    (1 or 0), ``patient`` (the Patient ID).
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(patients):
        rng = np.random.default_rng((seed, number))
        patient = _draw_patient(number, rng)
        for path in _write_series(folder, patient, seed, rng):
            rows.append((path.relative_to(folder).as_posix(), int(patient.lesion is not None), patient.name))
    table = folder / "labels.csv"
    with table.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file", LABEL_COLUMN, "patient"))
        writer.writerows(rows)
    return table


def _draw_patient(number: int, rng: np.random.Generator) -> _Patient:
    return _Patient(
        number=number,
        name=f"PHANTOM{number:03d}",
        sex=str(rng.choice(["F", "M"])),
        age=int(rng.integers(35, 85)),
        scanner=_SCANNERS[int(rng.integers(len(_SCANNERS)))],
        lesion=_draw_lesion(rng) if number % 2 else None,
    )


def _draw_lesion(rng: np.random.Generator) -> _Lesion:
    side = rng.choice([-1, 1])
    return _Lesion(
        slice=(SLICES - 1) / 2 + rng.uniform(-1, 1),
        row=SIZE * rng.uniform(0.38, 0.60),
        column=SIZE * (0.5 + side * rng.uniform(0.17, 0.25)),
        radius=rng.uniform(4.6, 8.0),
        contrast=rng.uniform(480, 880),
    )


def _write_series(folder: Path, patient: _Patient, seed: int, rng: np.random.Generator) -> list[Path]:
    anatomy = _Anatomy.draw(rng)
    study = folder / f"patient-{patient.number:03d}"
    study.mkdir(exist_ok=True)
    paths = []
    for index in range(SLICES):
        hounsfield = _scan(anatomy.slice(index, patient.lesion), patient.scanner, rng)
        path = study / f"ct-{index + 1:02d}.dcm"
        _instance(patient, index, hounsfield, seed).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


@dataclass(frozen=True, slots=True)
class _Anatomy:
    """Proportions of one chest; lengths in fractions of the image."""

    width: float
    height: float
    fat: float
    lung_width: float
    lung_height: float
    heart: float
    tilt: float
    vessels: npt.NDArray[np.float64]  # rows of (row, column, radius in pixels, slice phase)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Anatomy:
        count = int(rng.integers(30, 44))
        side = rng.choice([-1, 1], count)
        distance = rng.uniform(0.03, 0.17, count)
        angle = rng.uniform(-1.2, 1.2, count)
        vessels = np.column_stack(
            (
                SIZE * (0.49 + distance * np.sin(angle)),
                SIZE * (0.5 + side * (0.12 + distance * np.cos(angle))),
                rng.uniform(0.5, 1.7, count) * (1.25 - distance * 4),
                rng.uniform(0, SLICES, count),
            )
        )
        return cls(
            width=rng.uniform(0.40, 0.45),
            height=rng.uniform(0.29, 0.34),
            fat=rng.uniform(0.015, 0.04),
            lung_width=rng.uniform(0.125, 0.145),
            lung_height=rng.uniform(0.19, 0.22),
            heart=rng.uniform(0.085, 0.11),
            tilt=rng.uniform(-0.05, 0.05),
            vessels=vessels,
        )

    def slice(self, index: int, lesion: _Lesion | None) -> Image:
        """Tissue in HU, rows by columns, before the scanner sees it."""
        along = (index - (SLICES - 1) / 2) / SLICES  # -0.44 towards the head, 0.44 towards the feet
        grow = 1 + 0.12 * along
        image = np.full((SIZE, SIZE), _AIR)
        body = self._ellipse(0.5, 0.5, self.width, self.height)
        muscle = self._ellipse(0.5, 0.5, self.width - self.fat, self.height - self.fat)
        image[self._couch()] = -350.0
        image[body], image[muscle] = _FAT, _MUSCLE
        wall = muscle & ~self._ellipse(0.5, 0.5, self.width - self.fat - 0.035, self.height - self.fat - 0.035)
        image[wall & self._ribs(along)] = _BONE
        for side in (-1, 1):
            lung = self._ellipse(0.485, 0.5 + side * 0.205, self.lung_width * grow, self.lung_height * grow)
            image[lung & muscle & ~wall] = _LUNG
        self._add_vessels(image, index)
        heart = self._ellipse(0.43, 0.535, self.heart * (1.1 + 0.6 * along), self.heart * (1 + 0.6 * along))
        image[heart], image[self._ellipse(0.485, 0.5, 0.055, 0.13)] = _HEART, _MUSCLE
        image[self._ellipse(0.46, 0.5 - 0.012, 0.017, 0.02)] = _AIR  # trachea
        image[self._ellipse(0.585, 0.455, 0.028, 0.028)] = _HEART + 20  # aorta
        image[self._ellipse(0.665, 0.5, 0.052, 0.042)] = _BONE * 0.55  # vertebra: cancellous, then cortical
        image[self._ring(0.665, 0.5, 0.052, 0.042)] = _BONE * 1.4
        image[self._ellipse(0.725, 0.5, 0.018, 0.02)] = _MUSCLE - 20  # spinal canal
        image[self._ellipse(0.762, 0.5, 0.012, 0.035)] = _BONE
        if lesion is not None:
            self._add_lesion(image, lesion, index)
        return image

    def _ellipse(self, row: float, column: float, half_width: float, half_height: float) -> npt.NDArray[np.bool_]:
        return self._distance(row, column, half_width, half_height) <= 1

    def _ring(self, row: float, column: float, half_width: float, half_height: float) -> npt.NDArray[np.bool_]:
        distance = self._distance(row, column, half_width, half_height)
        return (distance <= 1) & (distance > 0.62)

    def _distance(self, row: float, column: float, half_width: float, half_height: float) -> Image:
        rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
        y, x = rows - 0.5, columns - 0.5
        turned_x = x * np.cos(self.tilt) - y * np.sin(self.tilt) + 0.5 - column
        turned_y = x * np.sin(self.tilt) + y * np.cos(self.tilt) + 0.5 - row
        distance: Image = (turned_x / half_width) ** 2 + (turned_y / half_height) ** 2
        return distance

    @staticmethod
    def _couch() -> npt.NDArray[np.bool_]:
        rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
        top = 0.90 - 0.35 * (columns - 0.5) ** 2
        couch: npt.NDArray[np.bool_] = (rows >= top) & (rows < top + 0.016) & (np.abs(columns - 0.5) < 0.38)
        return couch

    @staticmethod
    def _ribs(along: float) -> npt.NDArray[np.bool_]:
        rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
        angle = np.arctan2(rows, columns)
        ribs: npt.NDArray[np.bool_] = np.cos(angle * 12 + along * 14) > 0.45
        return ribs

    def _add_vessels(self, image: Image, index: int) -> None:
        rows, columns = np.mgrid[0:SIZE, 0:SIZE]
        for row, column, radius, phase in self.vessels:
            shift = (index - phase) * 0.8
            near = (rows - row - shift) ** 2 + (columns - column - shift * 0.5) ** 2 <= radius**2
            image[near & (image == _LUNG)] = _MUSCLE - 60

    @staticmethod
    def _add_lesion(image: Image, lesion: _Lesion, index: int) -> None:
        rows, columns = np.mgrid[0:SIZE, 0:SIZE]
        # An ellipsoid so long that every slice of the series cuts it: the label is true of each file.
        squared = (rows - lesion.row) ** 2 + (columns - lesion.column) ** 2 + ((index - lesion.slice) * 0.8) ** 2
        image += lesion.contrast * np.clip((lesion.radius - np.sqrt(squared)) / 2 + 0.5, 0, 1) * (image < -300)


def _scan(tissue: Image, scanner: _Scanner, rng: np.random.Generator) -> Image:
    """What a scanner makes of it: texture of the lung, blur, and noise that is correlated as after reconstruction."""
    textured = tissue + (tissue == _LUNG) * _blurred(rng.normal(0, 90, tissue.shape), 1.0)
    noise = _blurred(rng.normal(0, 1, tissue.shape), 0.8)
    scanned: Image = _blurred(textured, scanner.blur) + noise * scanner.noise / noise.std()
    return scanned


def _blurred(image: Image, sigma: float) -> Image:
    """Gaussian blur with reflected edges; sigma in pixels."""
    offsets = np.arange(-4, 5)
    kernel = np.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    padded = np.pad(image, 4, mode="reflect")
    by_rows: Image = np.sum([kernel[k] * padded[k : k + SIZE, :] for k in range(9)], axis=0)
    blurred: Image = np.sum([kernel[k] * by_rows[:, k : k + SIZE] for k in range(9)], axis=0)
    return blurred


def _instance(patient: _Patient, index: int, hounsfield: Image, seed: int) -> Dataset:
    """One CT image; stored value = HU + 1024, Rescale Intercept -1024 (PS3.3 C.8.2.1)."""
    scanner, number = patient.scanner, patient.number
    pixel_spacing = 350 / SIZE
    instance = Dataset()
    instance.SOPClassUID = CTImageStorage
    instance.SOPInstanceUID = _uid(seed, number, "instance", index)
    instance.StudyInstanceUID = _uid(seed, number, "study")
    instance.SeriesInstanceUID = _uid(seed, number, "series")
    instance.FrameOfReferenceUID = _uid(seed, number, "frame of reference")
    instance.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    instance.Modality = "CT"
    instance.Manufacturer = scanner.manufacturer
    instance.ManufacturerModelName = scanner.model
    instance.PatientName = f"PHANTOM^{number:03d}"
    instance.PatientID = patient.name
    instance.PatientBirthDate = f"{2026 - patient.age}0101"
    instance.PatientSex = patient.sex
    instance.PatientAge = f"{patient.age:03d}Y"
    instance.StudyDate = instance.SeriesDate = instance.ContentDate = "20260115"
    instance.StudyTime = instance.SeriesTime = instance.ContentTime = f"{8 + number % 10:02d}0000"
    instance.AccessionNumber = f"PH{number:05d}"
    instance.ReferringPhysicianName = ""
    instance.StudyID = str(number + 1)
    instance.StudyDescription = "PHANTOM, NO PATIENT"
    instance.SeriesDescription = "Chest phantom"
    instance.BodyPartExamined = "CHEST"
    instance.PatientPosition = "HFS"
    instance.KVP = "120"
    instance.SliceThickness = str(scanner.spacing)
    instance.SpacingBetweenSlices = str(scanner.spacing)
    instance.SeriesNumber = 1
    instance.AcquisitionNumber = 1
    instance.InstanceNumber = index + 1
    instance.ImagePositionPatient = ["-175", "-175", f"{100 - index * scanner.spacing:.1f}"]
    instance.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    instance.PositionReferenceIndicator = ""
    instance.PixelSpacing = [f"{pixel_spacing:.6f}"] * 2
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.Rows = instance.Columns = SIZE
    instance.BitsAllocated, instance.BitsStored, instance.HighBit = 16, 16, 15
    instance.PixelRepresentation = 1
    instance.RescaleIntercept = str(_INTERCEPT)
    instance.RescaleSlope = "1"
    instance.RescaleType = "HU"
    instance.WindowCenter, instance.WindowWidth = ["-500", "40"], ["1500", "400"]
    instance.PixelData = np.clip(np.rint(hounsfield) - _INTERCEPT, 0, 4095).astype("<i2").tobytes()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = UID(scanner.transfer_syntax_uid)
    return instance


def _uid(seed: int, *parts: object) -> str:
    digest = hashlib.sha256(repr((seed, *parts)).encode()).digest()
    return f"{_UID_ROOT}.{int.from_bytes(digest[:16], 'big')}"


def main() -> None:
    """Write a cohort from the command line."""
    parser = argparse.ArgumentParser(description="Write the labelled phantom cohort.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=DEFAULT_PATIENTS)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    arguments = parser.parse_args()
    print(write_cohort(arguments.folder, arguments.patients, arguments.seed))


if __name__ == "__main__":
    main()
