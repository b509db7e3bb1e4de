"""A model package as a page for a person: what it is, how good it is, who decided. `--json` has everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

Row = tuple[str, str]
Section = tuple[str, list[Row]]

_NAMES = {"roc_auc": "ROC-AUC", "f1": "F1", "brier": "Brier score"}
_SAME_AS_SENSITIVITY = "recall"


def sections(document: Mapping[str, Any]) -> Iterator[Section]:
    """The page of what `ahiflow models show --json` prints: a title and its rows, name and value."""
    evaluation = document["evaluation"]
    yield f"model package version {document['version']}: {document['approval_status']}", list(_identity(document))
    yield _evaluation_title(evaluation), list(_evaluation(document["metrics"], evaluation))
    yield "made of", list(_origin(document, evaluation))
    yield "signed decision", list(_decision(document["signed_decision"]))


def show(document: Mapping[str, Any], console: Console) -> None:
    """Print the page. The terminal folds long lines, so that an ARN or a hash is copied whole."""
    for title, rows in sections(document):
        console.print(Text(title, style="bold"), soft_wrap=True)
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            console.print(Text(f"  {name:{width}}  {value}"), soft_wrap=True)


def _identity(document: Mapping[str, Any]) -> Iterator[Row]:
    yield "ARN", document["model_package_arn"]
    yield "created", _moment(document["created_at"])
    if document["status"] != "Completed":
        yield "status", document["status"]
    if document["approval_description"]:
        yield "approval", document["approval_description"]


def _evaluation_title(evaluation: Mapping[str, Any]) -> str:
    test = evaluation.get("test", {})
    if "patients" not in test:
        return "evaluation"
    return (
        f"evaluation on {test['patients']} patients that training never saw ({test.get('image_sets', '?')} image sets)"
    )


def _evaluation(metrics: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[Row]:
    classes = [str(name) for name in evaluation.get("class_names", [])]
    if classes:
        yield "classes", f"{', '.join(classes)} (threshold {evaluation.get('threshold', '?')})"
    for name, metric in metrics.items():
        if isinstance(metric, Mapping) and isinstance(metric.get("value"), int | float):
            if name == _SAME_AS_SENSITIVITY and "sensitivity" in metrics:
                continue
            yield _NAMES.get(name, name.replace("_", " ")), _figure(metric)
    for true, row in metrics.get("confusion_matrix", {}).items():
        counts = ", ".join(f"{count} as {_class(classes, said)}" for said, count in row.items())
        yield f"of {_class(classes, true)}", counts
    if gate := evaluation.get("gate"):
        yield "quality gate", str(gate.get("reason", "-"))
    if not metrics:
        yield "none", "the model package names no evaluation report"


def _origin(document: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[Row]:
    if dataset := evaluation.get("dataset_sha256"):
        yield "data set", dataset
    yield "model", document["artefact"]
    yield "evaluation", document["evaluation_report"] or "-"
    for name, value in document["metadata"].items():
        yield name.replace("_", " "), str(value)


def _decision(decision: Mapping[str, Any]) -> Iterator[Row]:
    if not decision["verified"]:
        yield "verified", f"no: {decision['reason']}"
        return
    yield "verified", "yes, against the model and its evaluation report as they are now"
    yield "decision", f"{decision['decision']} (number {decision['number']})"
    yield "by", decision["approver"]
    yield "at", _moment(decision["signed_at"])
    yield "meaning", decision["meaning"]
    yield "model's hash", decision["artefact_sha256"]


def _figure(metric: Mapping[str, Any]) -> str:
    interval = metric.get("ci95")
    return f"{metric['value']:.3f}" + (f" (95 % {interval[0]:.3f} to {interval[1]:.3f})" if interval else "")


def _class(classes: list[str], index: str) -> str:
    return repr(classes[int(index)]) if index.isdecimal() and int(index) < len(classes) else index


def _moment(iso: str) -> str:
    return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
