"""Makes what the fetcher leaves behind, so that learning is tested without the fetcher."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from ahiflow.dataset import Candidate, DatasetManifest, build_manifest, pixel_checksum
from ahiflow.image_set_document import ImageSetDocument
from ahiflow.pseudonym import Pseudonyms

DATASTORE = "d" * 32
KEY = b"a key for the tests, of 32 bytes or more"


@dataclass(frozen=True)
class Made:
    """An image set folder, its document and its label."""

    folder: Path
    document: ImageSetDocument
    label: int


def image_set_id(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def write_image_set(
    images: Path,
    name: str,
    patient: str,
    pixels: npt.NDArray[Any],
    *,
    uids: Sequence[str] | None = None,
    slope: float = 1.0,
    intercept: float = -1024.0,
    attributes: dict[str, str] | None = None,
    key: bytes = KEY,
) -> ImageSetDocument:
    """Write ``pixels`` (frame, row, column) as one image set version, in the fetcher's shape."""
    pseudonyms = Pseudonyms(key)
    uids = uids or [f"1.2.3.{zlib.crc32(name.encode())}.{i}" for i in range(len(pixels))]
    ident = image_set_id(name)
    folder = images / DATASTORE / ident / "1"
    folder.mkdir(parents=True)
    np.save(folder / "pixels.npy", pixels)
    document = {
        "datastore_id": DATASTORE,
        "image_set_id": ident,
        "version_id": "1",
        "is_primary": True,
        "patient_pseudonym": pseudonyms.patient(patient),
        "patient_pseudonym_of": "PatientID",
        "study_pseudonym": pseudonyms.study(name),
        "series_pseudonym": pseudonyms.series(name),
        "geometry": None,
        "no_volume_reason": "made for a test",
        "attributes": {"Modality": "CT", "Manufacturer": "TEST", **(attributes or {})},
        "varying_attributes": [],
        "withheld_attributes": [],
        "frames": [
            {
                "sop_instance_hash": pseudonyms.sop_instance(uid),
                "frame_number": 1,
                "file": "pixels.npy",
                "index": i,
                "crc32": zlib.crc32(np.ascontiguousarray(frame).tobytes()),
                "crc32_of": "decoded",
                "stored_transfer_syntax_uid": "1.2.840.10008.1.2.4.201",
                "rescale_slope": slope,
                "rescale_intercept": intercept,
            }
            for i, (uid, frame) in enumerate(zip(uids, pixels, strict=True))
        ],
        "pixels": {
            "file": "pixels.npy",
            "shape": list(pixels.shape),
            "dtype": pixels.dtype.str,
            "axes": ["frames", "rows", "columns"],
            "photometric_interpretation": "MONOCHROME2",
        },
        "no_pixels_reason": None,
        "files": ["pixels.npy", "image_set.json"],
        "provenance": {
            "ahiflow_version": "0",
            "metadata_schema_version": "1.1",
            "codecs": {},
            "pseudonym_key_check": "0",
        },
    }
    text = json.dumps(document)
    (folder / "image_set.json").write_text(text)
    (folder / "_SUCCESS").write_text("")
    return ImageSetDocument.model_validate_json(text)


def from_dicom(images: Path, labelled: Iterable[tuple[Path, int]], key: bytes = KEY) -> list[Made]:
    """One image set per series, as HealthImaging groups them, of CT files and their labels."""
    series: dict[str, list[tuple[pydicom.Dataset, int]]] = defaultdict(list)
    for path, label in labelled:
        dataset = pydicom.dcmread(path)
        series[str(dataset.SeriesInstanceUID)].append((dataset, label))
    made = []
    for name, members in series.items():
        first = members[0][0]
        document = write_image_set(
            images,
            name,
            str(first.PatientID),
            np.stack([dataset.pixel_array for dataset, _ in members]),
            uids=[str(dataset.SOPInstanceUID) for dataset, _ in members],
            slope=float(first.RescaleSlope),
            intercept=float(first.RescaleIntercept),
            attributes={
                "Manufacturer": str(first.get("Manufacturer", "")),
                "ManufacturerModelName": str(first.get("ManufacturerModelName", "")),
            },
            key=key,
        )
        made.append(Made(images / DATASTORE / document.image_set_id / "1", document, members[0][1]))
    return made


def phantoms(
    images: Path,
    patients: int,
    *,
    slices: int = 8,
    size: int = 128,
    seed: int = 0,
    key: bytes = KEY,
    contrast_hu: float = 90.0,
    radii: tuple[float, float] = (0.025, 0.05),
) -> list[Made]:
    """CT of patients of whom every other has a lesion in some slices of a lung."""
    random = np.random.default_rng(seed)
    made = []
    for patient in range(patients):
        label = patient % 2
        volume = _phantom(random, slices, size, label, contrast_hu, radii)
        document = write_image_set(
            images,
            f"phantom {seed} {patient}",
            f"P{patient}",
            (volume + 1024).astype(np.int16),
            attributes={"ManufacturerModelName": f"scanner {patient % 3}"},
            key=key,
        )
        made.append(Made(images / DATASTORE / document.image_set_id / "1", document, label))
    return made


def manifest_of(made: Sequence[Made], label_name: str = "lesion") -> DatasetManifest:
    return build_manifest(
        [candidate_of(item) for item in made],
        label_name=label_name,
        class_names=(f"no {label_name}", label_name),
        label_table_sha256="0" * 64,
    )


def candidate_of(made: Made) -> Candidate:
    document = made.document
    assert document.pixels is not None
    return Candidate(
        datastore_id=document.datastore_id,
        image_set_id=document.image_set_id,
        version_id=document.version_id,
        patient_pseudonym=document.patient_pseudonym,
        pixel_checksum=pixel_checksum([f.crc32 for f in document.frames], document.pixels.shape, document.pixels.dtype),
        label=1 if made.label else 0,
        labelled_instances=len(document.sop_instance_hashes()),
    )


def container(root: Path, make: Callable[[Path], list[Made]], hyperparameters: dict[str, str] | None = None) -> Path:
    """Lay out a training container's file system; ``make`` fills the channel ``images``."""
    images = root / "input" / "data" / "images"
    manifest = manifest_of(make(images))
    (root / "input" / "data" / "dataset").mkdir(parents=True)
    (root / "input" / "data" / "dataset" / "manifest.json").write_bytes(manifest.canonical_json())
    (root / "input" / "config").mkdir(parents=True)
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters or {}))
    return root


def _phantom(
    random: np.random.Generator,
    slices: int,
    size: int,
    label: int,
    contrast_hu: float,
    radii: tuple[float, float],
) -> npt.NDArray[np.float64]:
    row, column = np.mgrid[0:size, 0:size] / size - 0.5
    width, height = random.uniform(0.38, 0.46), random.uniform(0.28, 0.36)
    lung = random.uniform(0.10, 0.14)
    position = int(random.integers(0, slices))
    side = random.choice([-1, 1])
    place = random.uniform(-0.05, 0.05, 2)
    radius = random.uniform(*radii)
    noise = random.uniform(10, 40)
    frames = []
    for index in range(slices):
        frame = np.full((size, size), -1000.0)
        frame[(column / width) ** 2 + (row / height) ** 2 < 1] = 40.0
        for center in (-0.19, 0.19):
            frame[((column - center) / lung) ** 2 + (row / (lung * 1.5)) ** 2 < 1] = -800.0
        frame[(column**2 + (row - height * 0.8) ** 2) < 0.0025] = 500.0
        if label and abs(index - position) <= 1:
            frame[(column - side * 0.19 - place[0]) ** 2 + (row - place[1]) ** 2 < radius**2] = contrast_hu - 60
        frames.append(frame + random.normal(0, noise, frame.shape))
    return np.clip(np.stack(frames), -1024, 3071)
