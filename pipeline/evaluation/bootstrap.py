"""Uncertainty of the ROC-AUC. Patients are what is drawn and counted: images of one patient are not independent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.metrics import Labels, Scores, roc_auc

RESAMPLES = 2000
SEED = 20261121


@dataclass(frozen=True, slots=True)
class Interval:
    """95 % percentile interval and standard deviation. ``resamples``: how many of the drawn had both classes."""

    low: float
    high: float
    standard_deviation: float
    resamples: int


def bootstrap_roc_auc(
    labels: Labels, scores: Scores, patients: Sequence[str], resamples: int = RESAMPLES
) -> Interval | None:
    """Draw as many patients as there are, with replacement, and take the ROC-AUC of all their image sets.

    Draws with one class only have no ROC-AUC and are left out, which makes the interval of very few patients narrower
    than the truth; ``Interval.resamples`` tells. None when no draw had both classes.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, patient in enumerate(patients):
        members[patient].append(index)
    groups = [np.array(members[patient]) for patient in sorted(members)]
    random = np.random.default_rng(SEED)
    values: list[float] = []
    for _ in range(resamples):
        chosen = np.concatenate([groups[i] for i in random.integers(0, len(groups), len(groups))])
        value = roc_auc(labels[chosen], scores[chosen])
        if value is not None:
            values.append(value)
    if not values:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(low), float(high), float(np.std(values)), len(values))


def score_interval(auc: float, positive_patients: int, negative_patients: int) -> tuple[float, float]:
    """95 % score interval of an ROC-AUC (Newcombe, Statistics in Medicine 2006;25:559-573, method 5).

    Holds every area A from which ``auc`` is at most 1.96 standard errors away, with Hanley and McNeil's error at A.
    So a perfect separation of a few patients does not look certain, as it does to a bootstrap.
    """
    areas = np.linspace(0.0, 1.0, 10_001)
    balance = (positive_patients + negative_patients) / 2 - 1
    spread = 1 + balance * (1 - areas) / (2 - areas) + balance * areas / (1 + areas)
    errors = np.sqrt(areas * (1 - areas) * spread / (positive_patients * negative_patients))
    inside = areas[np.abs(areas - auc) <= 1.959964 * errors + 1e-9]
    if not inside.size:
        return auc, auc
    return float(min(inside.min(), auc)), float(max(inside.max(), auc))
