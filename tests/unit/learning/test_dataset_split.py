"""The split: by patient, the same under another key, and never a leak."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahiflow.dataset import Candidate, DatasetImageSet, build_manifest, check_leakage, parse_manifest
from ahiflow.errors import DatasetError
from tests.learning_support import candidate_of, phantoms

NAMES = {"label_name": "lesion", "class_names": ("no lesion", "lesion"), "label_table_sha256": "0" * 64}


def candidate(number: int, patient: str, label: int, key: str = "k", checksum: str | None = None) -> Candidate:
    return Candidate(
        datastore_id="d" * 32,
        image_set_id=f"{number:032d}",
        version_id="1",
        patient_pseudonym=hashlib.sha256(f"{key}{patient}".encode()).hexdigest(),
        pixel_checksum=checksum or hashlib.sha256(f"pixels {number}".encode()).hexdigest(),
        label=1 if label else 0,
        labelled_instances=1,
    )


cohorts = st.lists(
    st.lists(st.integers(0, 1), min_size=1, max_size=4), min_size=8, max_size=30
)  # labels of each patient's image sets


def cohort(labels: list[list[int]], key: str = "k") -> list[Candidate]:
    flat = [(patient, label) for patient, own in enumerate(labels) for label in own]
    return [candidate(n, str(patient), label, key) for n, (patient, label) in enumerate(flat)]


@given(cohorts)
def test_no_patient_is_in_two_splits_and_another_key_changes_nothing(labels: list[list[int]]) -> None:
    try:
        first = build_manifest(cohort(labels, "one key"), **NAMES)
    except DatasetError:
        with pytest.raises(DatasetError):
            build_manifest(cohort(labels, "another key"), **NAMES)
        return
    splits: dict[str, set[str]] = {}
    for item in first.items:
        splits.setdefault(item.patient_pseudonym, set()).add(item.split)
    assert all(len(own) == 1 for own in splits.values())
    assert {item.split for item in first.items} == {"train", "validation", "test"}
    for split in ("train", "test"):
        assert {item.label for item in first.of_split(split)} == {0, 1}
    second = build_manifest(cohort(labels, "another key"), **NAMES)
    assert [(i.image_set_id, i.split) for i in first.items] == [(i.image_set_id, i.split) for i in second.items]
    assert first.sha256 != second.sha256


@given(cohorts, st.randoms())
def test_the_order_in_which_images_came_does_not_matter(labels: list[list[int]], random: object) -> None:
    candidates = cohort(labels)
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    try:
        assert build_manifest(candidates, **NAMES) == build_manifest(shuffled, **NAMES)
    except DatasetError:
        with pytest.raises(DatasetError):
            build_manifest(shuffled, **NAMES)


@given(cohorts, st.lists(st.integers(0, 1), min_size=1, max_size=20))
def test_a_test_patient_never_becomes_a_training_patient(labels: list[list[int]], more: list[int]) -> None:
    try:
        before = build_manifest(cohort(labels), **NAMES)
    except DatasetError:
        return
    kept = {item.patient_pseudonym: item.split for item in before.items}
    added = [candidate(1000 + n, f"new {n}", label) for n, label in enumerate(more)]
    after = build_manifest([*cohort(labels), *added], **NAMES, kept=kept)
    for item in after.items:
        assert kept.get(item.patient_pseudonym, item.split) == item.split


def test_shares_are_about_half_a_fifth_and_three_tenths() -> None:
    manifest = build_manifest(cohort([[n % 2] for n in range(40)]), **NAMES)
    counts = {split: len(manifest.patients(split)) for split in ("train", "validation", "test")}
    assert counts == {"train": 20, "validation": 8, "test": 12}


def test_the_manifest_survives_storage_and_its_name_is_its_content() -> None:
    manifest = build_manifest(cohort([[n % 2] for n in range(10)]), **NAMES)
    body = manifest.canonical_json()
    assert parse_manifest(body) == manifest
    assert hashlib.sha256(body).hexdigest() == manifest.sha256


def test_identical_pixels_under_two_patients_or_two_labels_are_refused() -> None:
    good = cohort([[n % 2] for n in range(10)])
    with pytest.raises(DatasetError, match="two patients"):
        build_manifest([*good, candidate(50, "other", good[0].label, checksum=good[0].pixel_checksum)], **NAMES)
    with pytest.raises(DatasetError, match="two labels"):
        build_manifest([*good, candidate(50, "0", 1 - good[0].label, checksum=good[0].pixel_checksum)], **NAMES)


def test_the_same_pixels_of_one_patient_count_once() -> None:
    good = cohort([[n % 2] for n in range(10)])
    again = candidate(50, "0", good[0].label, checksum=good[0].pixel_checksum)
    assert len(build_manifest([*good, again], **NAMES).items) == 10


def test_a_manifest_with_a_patient_in_two_splits_is_refused_when_read() -> None:
    manifest = build_manifest(cohort([[0, 1] for _ in range(10)]), **NAMES)
    first, second = manifest.items[0], manifest.items[1]
    leaking = DatasetImageSet(**{**second.model_dump(), "patient_pseudonym": first.patient_pseudonym, "split": "test"})
    training = DatasetImageSet(**{**first.model_dump(), "split": "train"})
    with pytest.raises(DatasetError, match="two splits"):
        check_leakage([training, leaking])
    tampered = manifest.model_copy(update={"items": (training, leaking)})
    with pytest.raises(DatasetError, match="two splits"):
        parse_manifest(tampered.canonical_json())


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[0], [1], [0], [1], [1]], "5 labelled patients, at least 6"),
        ([[0]] * 10, "'no lesion' only"),
        ([[0]] * 9 + [[1]], "has 'no lesion' only"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_with_a_reason(labels: list[list[int]], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        build_manifest(cohort(labels), **NAMES)


def test_real_documents_split_the_same_under_another_pseudonym_key(tmp_path: Path) -> None:
    one = phantoms(tmp_path / "one", 12, slices=2, size=32)
    other = phantoms(tmp_path / "other", 12, slices=2, size=32, key=b"another key, also of 32 bytes or more")
    splits = [
        [(item.image_set_id, item.split) for item in build_manifest([candidate_of(m) for m in made], **NAMES).items]
        for made in (one, other)
    ]
    assert splits[0] == splits[1]
    assert np.all([m.document.pixels is not None for m in one])
