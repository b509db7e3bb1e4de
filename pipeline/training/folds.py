"""Cross-validation among the patients that are not held out: each member leaves other patients out of its training.

So that every choice rests on all of them, and every patient is learned from, however few there are.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from pipeline.training.data import Sample, TrainingData


@dataclass(frozen=True, slots=True)
class Fold:
    """What one member learns from, and what it is validated on. No patient is in both."""

    train: tuple[Sample, ...]
    held_out: tuple[Sample, ...]


def build_folds(data: TrainingData, members: int) -> list[Fold]:
    """The first member leaves out the validation split; the others share out the patients of the training split.

    Patients are dealt out by class, in the order of the manifest. Test patients are in no fold: they are not loaded.
    """
    everything = (*data.train, *data.validation)
    left_out: list[set[str]] = [{sample.patient for sample in data.validation}]
    left_out += [set() for _ in range(members - 1)]
    for turn, patient in enumerate(_by_class(data.train)):
        if members > 1:
            left_out[1 + turn % (members - 1)].add(patient)
    return [
        Fold(
            train=tuple(s for s in everything if s.patient not in patients),
            held_out=tuple(s for s in everything if s.patient in patients),
        )
        for patients in left_out
    ]


def _by_class(samples: tuple[Sample, ...]) -> list[str]:
    labels: dict[str, set[int]] = defaultdict(set)
    for sample in samples:
        labels[sample.patient].add(sample.label)
    return sorted(labels, key=lambda patient: (-len(labels[patient]), max(labels[patient])))
