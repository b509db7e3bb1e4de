"""The dataset manifest: which image set versions, with which label, in which split. Immutable, named by its SHA-256.

Split by patient, never by image. The order in which patients are dealt out comes from the pixels alone, so another
pseudonym key gives the same split.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ahiflow.errors import DatasetError
from ahiflow.labels import canonical_json

DATASET_VERSION: Final = 1

Split = Literal["train", "validation", "test"]

# Half to learn from, and more patients in the test than in the validation split: with few patients it is the test
# figure that a person relies on. The order is also the order of preference when two splits are equally short.
SPLIT_FRACTIONS: Final[Mapping[Split, float]] = {"test": 0.3, "train": 0.5, "validation": 0.2}
MINIMUM_PATIENTS: Final = 6


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(_Frozen):
    """One labelled image set version. ``pixel_checksum``: see :func:`pixel_checksum`."""

    datastore_id: str
    image_set_id: str
    version_id: str
    patient_pseudonym: str
    pixel_checksum: str
    label: Literal[0, 1]
    labelled_instances: int


class DatasetImageSet(Candidate):
    """A candidate and the split it is in."""

    split: Split

    @property
    def path(self) -> str:
        """Folder of the fetcher's output, below ``image-sets/`` and below the training channel ``images``."""
        return f"{self.datastore_id}/{self.image_set_id}/{self.version_id}"


class DatasetManifest(_Frozen):
    """An immutable dataset. ``label_table_sha256`` says where the labels came from. Ordered by pixel checksum."""

    schema_version: Literal[1] = 1
    label_name: str
    class_names: tuple[str, str]
    label_table_sha256: str
    items: tuple[DatasetImageSet, ...]

    def canonical_json(self) -> bytes:
        """The one byte form; its SHA-256 names the dataset."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """Name of the dataset."""
        return hashlib.sha256(self.canonical_json()).hexdigest()

    def of_split(self, split: Split) -> tuple[DatasetImageSet, ...]:
        """The image sets of one split."""
        return tuple(image_set for image_set in self.items if image_set.split == split)

    def patients(self, split: Split | None = None) -> frozenset[str]:
        """Patient pseudonyms, of one split or of all."""
        return frozenset(s.patient_pseudonym for s in self.items if split in (None, s.split))


def pixel_checksum(frame_checksums: Iterable[int], shape: Sequence[int], dtype: str) -> str:
    """SHA-256 over shape, dtype and the CRC32 of every frame in order: equal pixels have equal checksums.

    Two different single-frame image sets of one shape collide with probability 2**-32.
    """
    text = f"{list(shape)} {dtype} {list(frame_checksums)}"
    return hashlib.sha256(text.encode()).hexdigest()


def parse_manifest(body: bytes) -> DatasetManifest:
    """Parse a manifest and check it again for leakage. Raises DatasetError."""
    try:
        manifest = DatasetManifest.model_validate_json(body)
    except ValidationError as error:
        raise DatasetError(f"the dataset manifest breaks its schema ({error.error_count()} faults)") from error
    check_leakage(manifest.items)
    return manifest


def build_manifest(
    candidates: Sequence[Candidate],
    *,
    label_name: str,
    class_names: tuple[str, str],
    label_table_sha256: str,
    kept: Mapping[str, Split] | None = None,
) -> DatasetManifest:
    """Split the candidates by patient and freeze the result.

    ``kept`` holds the splits of patients of the dataset before: a test patient never becomes a training patient. Raises
    DatasetError for leakage, too few patients, or a split without both classes where both are needed.
    """
    _check_pixels(candidates)
    unique = {candidate.pixel_checksum: candidate for candidate in sorted(candidates, key=_newest_last)}
    patients = _patients(unique.values())
    if len(patients) < MINIMUM_PATIENTS:
        raise DatasetError(f"{len(patients)} labelled patients, at least {MINIMUM_PATIENTS} are needed")
    splits = assign_splits(patients, kept or {})
    image_sets = tuple(
        DatasetImageSet(**candidate.model_dump(), split=splits[candidate.patient_pseudonym])
        for _, candidate in sorted(unique.items())
    )
    _check_classes(image_sets, class_names)
    check_leakage(image_sets)
    return DatasetManifest(
        label_name=label_name, class_names=class_names, label_table_sha256=label_table_sha256, items=image_sets
    )


@dataclass(frozen=True, slots=True)
class Patient:
    """What the split looks at. ``order`` depends on pixels only; ``stratum`` is 0, 1, or both."""

    pseudonym: str
    order: str
    stratum: frozenset[int]


def assign_splits(patients: Sequence[Patient], kept: Mapping[str, Split]) -> dict[str, Split]:
    """Deal patients out, stratum by stratum, always to the split that is furthest below its share."""
    splits: dict[str, Split] = {p.pseudonym: kept[p.pseudonym] for p in patients if p.pseudonym in kept}
    for stratum in sorted({p.stratum for p in patients}, key=lambda s: (-len(s), sorted(s))):
        members = sorted((p for p in patients if p.stratum == stratum), key=lambda p: p.order)
        counts = {split: sum(splits.get(p.pseudonym) == split for p in members) for split in SPLIT_FRACTIONS}
        for patient in members:
            if patient.pseudonym in splits:
                continue
            dealt = sum(counts.values()) + 1
            shortest = max(SPLIT_FRACTIONS, key=lambda s: round(SPLIT_FRACTIONS[s] * dealt - counts[s], 9))
            splits[patient.pseudonym] = shortest
            counts[shortest] += 1
    return splits


def check_leakage(image_sets: Sequence[DatasetImageSet]) -> None:
    """Raise DatasetError when a patient, or the same pixels, could be both learned from and tested on."""
    split_of: dict[str, Split] = {}
    for image_set in image_sets:
        if split_of.setdefault(image_set.patient_pseudonym, image_set.split) != image_set.split:
            raise DatasetError(f"a patient is in two splits (image set {image_set.image_set_id})")
    _check_pixels(image_sets)


def _check_pixels(candidates: Iterable[Candidate]) -> None:
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        other = first.setdefault(candidate.pixel_checksum, candidate)
        both = f"image sets {other.image_set_id} and {candidate.image_set_id} have identical pixels"
        if other.patient_pseudonym != candidate.patient_pseudonym:
            raise DatasetError(f"{both} but belong to two patients")
        if other.label != candidate.label:
            raise DatasetError(f"{both} but two labels")


def _newest_last(candidate: Candidate) -> tuple[str, int]:
    return candidate.image_set_id, int(candidate.version_id)


def _patients(candidates: Iterable[Candidate]) -> list[Patient]:
    members: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        members[candidate.patient_pseudonym].append(candidate)
    return [
        Patient(
            pseudonym=pseudonym,
            order=hashlib.sha256(f"split:{min(c.pixel_checksum for c in own)}".encode()).hexdigest(),
            stratum=frozenset(c.label for c in own),
        )
        for pseudonym, own in members.items()
    ]


def _check_classes(image_sets: Sequence[DatasetImageSet], class_names: tuple[str, str]) -> None:
    for split in SPLIT_FRACTIONS:
        found = {s.label for s in image_sets if s.split == split}
        if not found:
            raise DatasetError(f"no patient for the {split} split")
        if split != "validation" and len(found) < 2:
            raise DatasetError(f"the {split} split has {class_names[min(found)]!r} only: more patients are needed")
