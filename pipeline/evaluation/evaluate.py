"""Predicts the held-out patients and turns the predictions into SageMaker's model-metrics form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ahiflow.dataset import DatasetManifest
from ahiflow.errors import DatasetError
from pipeline import metrics
from pipeline.bundle import Bundle
from pipeline.evaluation.bootstrap import bootstrap_roc_auc, score_interval
from pipeline.imaging import load_image_set

THRESHOLD = 0.5
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One held-out image set. ``scanner`` is manufacturer and model."""

    image_set_id: str
    version_id: str
    patient_pseudonym: str
    scanner: str
    label: int
    probability: float


def predict_held_out(bundle: Bundle, manifest: DatasetManifest, images: Path) -> list[Prediction]:
    """Predict the test split. Raises DatasetError when the model was trained on another dataset."""
    if bundle.facts.dataset_sha256 != manifest.sha256:
        raise DatasetError("the model was trained on another dataset: its test patients may not be held out here")
    predictions = []
    for item in manifest.of_split("test"):
        pixels = load_image_set(images / item.path, bundle.facts.maximum_slices)
        probability = bundle.predict(pixels.slices)
        predictions.append(
            Prediction(
                item.image_set_id, item.version_id, item.patient_pseudonym, pixels.scanner, item.label, probability
            )
        )
    return predictions


def build_evaluation(predictions: Sequence[Prediction], manifest: DatasetManifest, minimum_roc_auc: float) -> Json:
    """``evaluation.json`` (docs/architecture.md). Metrics that are undefined on these cases are left out."""
    labels, scores = _arrays(predictions)
    auc = metrics.roc_auc(labels, scores)
    return {
        "binary_classification_metrics": {
            **_roc_auc(predictions, auc),
            **_at_threshold(predictions),
            "brier": {"value": metrics.brier(labels, scores)},
            **_curve(predictions),
        },
        "gate": _gate(auc, minimum_roc_auc),
        "dataset_sha256": manifest.sha256,
        "label_name": manifest.label_name,
        "class_names": list(manifest.class_names),
        "threshold": THRESHOLD,
        "test": {
            "patients": len({p.patient_pseudonym for p in predictions}),
            "image_sets": len(predictions),
            "positives": int(labels.sum()),
        },
        "subgroups": _subgroups(predictions),
        "predictions": [asdict(prediction) for prediction in predictions],
    }


def _arrays(predictions: Sequence[Prediction]) -> tuple[metrics.Labels, metrics.Scores]:
    labels = np.array([p.label for p in predictions], np.int64)
    return labels, np.array([p.probability for p in predictions], np.float64)


def _roc_auc(predictions: Sequence[Prediction], auc: float | None) -> Json:
    """The interval is the wider end of two: patients drawn again, and the score interval for as many patients."""
    if auc is None:
        return {}
    patients = [{p.patient_pseudonym for p in predictions if p.label == label} for label in (0, 1)]
    low, high = score_interval(auc, len(patients[1]), len(patients[0]))
    drawn = bootstrap_roc_auc(*_arrays(predictions), [p.patient_pseudonym for p in predictions])
    if drawn is None:
        return {"roc_auc": {"value": auc, "ci95": [low, high]}}
    return {
        "roc_auc": {
            "value": auc,
            "standard_deviation": drawn.standard_deviation,
            "ci95": [min(low, drawn.low), max(high, drawn.high)],
            "ci95_bootstrap": [drawn.low, drawn.high],
            "ci95_score": [low, high],
            "resamples": drawn.resamples,
        }
    }


def _at_threshold(predictions: Sequence[Prediction]) -> Json:
    counts = metrics.confusion(*_arrays(predictions), THRESHOLD)
    named = {
        "accuracy": counts.accuracy,
        "recall": counts.recall,
        "sensitivity": counts.recall,
        "specificity": counts.specificity,
        "precision": counts.precision,
        "f1": counts.f1,
    }
    return {
        "confusion_matrix": {
            "0": {"0": counts.true_negatives, "1": counts.false_positives},
            "1": {"0": counts.false_negatives, "1": counts.true_positives},
        },
        **{name: {"value": value} for name, value in named.items() if value is not None},
    }


def _curve(predictions: Sequence[Prediction]) -> Json:
    false_rates, true_rates, thresholds = metrics.roc_curve(*_arrays(predictions))
    return {
        "receiver_operating_characteristic_curve": {
            "false_positive_rates": false_rates,
            "true_positive_rates": true_rates,
            "thresholds": thresholds,
        }
    }


def _gate(auc: float | None, minimum_roc_auc: float) -> Json:
    if auc is None:
        return {"passed": 0, "reason": "the held-out patients are of one class only: there is no ROC-AUC"}
    passed = auc >= minimum_roc_auc
    relation = "reaches" if passed else "is below"
    return {
        "passed": 1 if passed else 0,
        "reason": f"ROC-AUC {auc:.3f} on held-out patients {relation} the minimum of {minimum_roc_auc:.3f}",
        "minimum_roc_auc": minimum_roc_auc,
    }


def _subgroups(predictions: Sequence[Prediction]) -> list[Json]:
    by_scanner: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        by_scanner[prediction.scanner].append(prediction)
    return [_subgroup(scanner, own) for scanner, own in sorted(by_scanner.items())]


def _subgroup(scanner: str, predictions: Sequence[Prediction]) -> Json:
    labels, scores = _arrays(predictions)
    return {
        "scanner": scanner,
        "image_sets": len(predictions),
        "patients": len({p.patient_pseudonym for p in predictions}),
        "positives": int(labels.sum()),
        "accuracy": metrics.confusion(labels, scores, THRESHOLD).accuracy,
        "roc_auc": metrics.roc_auc(labels, scores),
    }
