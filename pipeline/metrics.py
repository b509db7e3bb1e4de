"""Metrics of a binary classifier, by scikit-learn; where a metric is undefined it is None. 1 is the positive class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_curve as sklearn_roc_curve

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts at a threshold."""

    true_negatives: int
    false_positives: int
    false_negatives: int
    true_positives: int

    @property
    def accuracy(self) -> float | None:
        """Share of right answers; None without cases."""
        right = self.true_negatives + self.true_positives
        return _ratio(right, right + self.false_negatives + self.false_positives)

    @property
    def recall(self) -> float | None:
        """Sensitivity: share of the positives that were found; None without positives."""
        return _ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def specificity(self) -> float | None:
        """Share of the negatives that were left alone; None without negatives."""
        return _ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def precision(self) -> float | None:
        """Share of the alarms that were right; None without alarms."""
        return _ratio(self.true_positives, self.true_positives + self.false_positives)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where neither positives nor alarms exist."""
        alarms_and_positives = 2 * self.true_positives + self.false_positives + self.false_negatives
        return _ratio(2 * self.true_positives, alarms_and_positives)


def confusion(labels: Labels, scores: Scores, threshold: float = 0.5) -> Confusion:
    """Count; a score equal to the threshold counts as positive."""
    predicted = scores >= threshold
    positive = labels == 1
    return Confusion(
        true_negatives=int((~predicted & ~positive).sum()),
        false_positives=int((predicted & ~positive).sum()),
        false_negatives=int((~predicted & positive).sum()),
        true_positives=int((predicted & positive).sum()),
    )


def roc_auc(labels: Labels, scores: Scores) -> float | None:
    """Chance that a positive scores above a negative, ties counting half (Mann-Whitney); None with one class only."""
    return float(roc_auc_score(labels, scores)) if _has_both_classes(labels) else None


def roc_curve(labels: Labels, scores: Scores) -> tuple[list[float], list[float], list[float]]:
    """False positive rates, true positive rates and thresholds, from (0, 0) to (1, 1); empty with one class only.

    One point per distinct score, so ties make a slope and not a step. The first threshold is above every score (and
    finite, since JSON has no infinity).
    """
    if not _has_both_classes(labels):
        return [], [], []
    false_rates, true_rates, thresholds = sklearn_roc_curve(labels, scores, drop_intermediate=False)
    thresholds[0] = scores.max() + 1.0
    return false_rates.tolist(), true_rates.tolist(), thresholds.tolist()


def brier(labels: Labels, scores: Scores) -> float:
    """Mean squared difference of probability and outcome; 0 is perfect, 0.25 is a coin."""
    return float(brier_score_loss(labels, scores))


def log_loss(labels: Labels, scores: Scores) -> float:
    """Mean negative log likelihood in nats, probabilities kept 1e-7 away from 0 and 1."""
    return float(sklearn_log_loss(labels, np.clip(scores, 1e-7, 1 - 1e-7), labels=[0, 1]))


def _has_both_classes(labels: Labels) -> bool:
    return bool((labels == 0).any() and (labels == 1).any())


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
