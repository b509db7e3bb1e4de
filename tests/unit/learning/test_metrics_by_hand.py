"""Metrics against numbers that can be worked out on paper, and against their definitions, spelled out slowly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import metrics
from pipeline.evaluation.bootstrap import bootstrap_roc_auc, score_interval


def arrays(labels: list[int], scores: list[float]) -> tuple[metrics.Labels, metrics.Scores]:
    return np.array(labels, np.int64), np.array(scores, np.float64)


def test_roc_auc_counts_pairs_and_half_for_ties() -> None:
    assert metrics.roc_auc(*arrays([0, 1], [0.1, 0.9])) == 1.0
    assert metrics.roc_auc(*arrays([0, 1], [0.9, 0.1])) == 0.0
    assert metrics.roc_auc(*arrays([0, 1], [0.5, 0.5])) == 0.5
    # pairs (positive, negative): .4>.1 1, .4=.4 half, .8>.1 1, .8>.4 1 = 3.5 of 4
    assert metrics.roc_auc(*arrays([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])) == 0.875


def test_one_class_has_no_roc_auc_and_no_curve() -> None:
    assert metrics.roc_auc(*arrays([1, 1], [0.2, 0.9])) is None
    assert metrics.roc_curve(*arrays([0, 0], [0.2, 0.9])) == ([], [], [])


def test_tied_scores_make_a_slope_in_the_curve() -> None:
    false_rates, true_rates, thresholds = metrics.roc_curve(*arrays([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8]))
    assert false_rates == [0.0, 0.0, 0.5, 1.0]
    assert true_rates == [0.0, 0.5, 1.0, 1.0]
    assert thresholds[1:] == [0.8, 0.4, 0.1]


def test_confusion_and_what_follows_from_it() -> None:
    counts = metrics.confusion(*arrays([1, 1, 1, 0, 0], [0.9, 0.5, 0.2, 0.7, 0.1]))
    assert counts == metrics.Confusion(true_negatives=1, false_positives=1, false_negatives=1, true_positives=2)
    assert counts.accuracy == 3 / 5
    assert counts.recall == 2 / 3
    assert counts.specificity == 1 / 2
    assert counts.precision == 2 / 3
    assert counts.f1 == 2 / 3


def test_undefined_ratios_are_none_not_zero() -> None:
    counts = metrics.confusion(*arrays([0, 0], [0.1, 0.2]))
    assert counts.recall is None
    assert counts.precision is None
    assert counts.f1 is None
    assert counts.specificity == 1.0


def test_brier_and_log_loss() -> None:
    assert metrics.brier(*arrays([1, 0], [0.5, 0.5])) == 0.25
    assert metrics.log_loss(*arrays([1, 0], [0.5, 0.5])) == pytest.approx(np.log(2))
    assert np.isfinite(metrics.log_loss(*arrays([1, 0], [0.0, 1.0])))


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9])), min_size=2, max_size=30))
def test_agrees_with_the_definitions(cases: list[tuple[int, float]]) -> None:
    labels, scores = arrays([c[0] for c in cases], [c[1] for c in cases])
    likelihoods = [score if label else 1 - score for label, score in cases]
    assert metrics.log_loss(labels, scores) == pytest.approx(-np.mean(np.log(likelihoods)))
    assert metrics.brier(labels, scores) == pytest.approx(np.mean([(label - score) ** 2 for label, score in cases]))
    if 0 < labels.sum() < len(labels):
        pairs = [(p, n) for yes, p in cases if yes for no, n in cases if not no]
        above = sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)
        assert metrics.roc_auc(labels, scores) == pytest.approx(above)
        false_rates, true_rates, thresholds = metrics.roc_curve(labels, scores)
        assert np.trapezoid(true_rates, false_rates) == pytest.approx(above)
        assert np.isfinite(thresholds).all()


def test_the_interval_draws_patients_and_not_images() -> None:
    """Ten copies of each image of two patients tell no more than one copy: the interval must not shrink."""
    labels, scores = arrays([0, 1, 0, 1], [0.2, 0.7, 0.6, 0.5])
    patients = ["a", "a", "b", "b"]
    once = bootstrap_roc_auc(labels, scores, patients)
    often = bootstrap_roc_auc(np.tile(labels, 10), np.tile(scores, 10), patients * 10)
    assert once is not None
    assert often == once
    assert (once.low, once.high) == (0.0, 1.0)


def test_perfect_separation_of_few_patients_is_not_certain() -> None:
    low, high = score_interval(1.0, 2, 3)
    assert high == 1.0
    assert low < 0.5
    assert score_interval(1.0, 200, 300)[0] > 0.97
    low, high = score_interval(0.5, 10, 10)
    assert low == pytest.approx(1 - high, abs=1e-3)


def test_no_interval_when_no_draw_has_both_classes() -> None:
    assert bootstrap_roc_auc(*arrays([1, 1], [0.2, 0.9]), ["a", "b"]) is None
