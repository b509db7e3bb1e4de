"""One page a person can open without a server: figures, ROC curve, confusion matrix, scanners."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1b2430}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #cfd6de;padding:.3rem .7rem;text-align:left}"
    ".passed{color:#0a6b3d}.refused{color:#a3260f}svg{background:#f6f8fa}"
)


def render_report(evaluation: dict[str, Any]) -> str:
    """Render ``evaluation.json`` as a self-contained HTML page. Everything that came from data is escaped."""
    figures = evaluation["binary_classification_metrics"]
    gate, test = evaluation["gate"], evaluation["test"]
    names = [escape(name) for name in evaluation["class_names"]]
    counts = figures["confusion_matrix"]
    scalars = [
        (name.replace("_", " "), _number(entry["value"]), _interval(entry))
        for name, entry in figures.items()
        if "value" in entry
    ]
    matrix = [(names[i], str(counts[str(i)]["0"]), str(counts[str(i)]["1"])) for i in (0, 1)]
    scanners = [
        (escape(s["scanner"]), s["image_sets"], s["positives"], _number(s["accuracy"]), _number(s["roc_auc"]))
        for s in evaluation["subgroups"]
    ]
    curve = figures["receiver_operating_characteristic_curve"]
    verdict = "passed" if gate["passed"] else "refused"
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation</title><style>{_STYLE}</style>
<h1>Evaluation: {names[1]}</h1>
<p class="{verdict}"><strong>Quality gate: {verdict}.</strong> {escape(gate["reason"])}</p>
<p>{test["image_sets"]} image sets of {test["patients"]} held-out patients, {test["positives"]} positive.
Dataset <code>{escape(evaluation["dataset_sha256"])}</code>. Not for diagnosis.</p>
{_table(("metric", "value", "95 % interval, by patient"), scalars)}
{_roc_svg(curve["false_positive_rates"], curve["true_positive_rates"])}
<h2>Confusion matrix at {evaluation["threshold"]}</h2>
{_table(("true / predicted", *names), matrix)}
<h2>By scanner</h2>
{_table(("scanner", "image sets", "positive", "accuracy", "ROC-AUC"), scanners)}
</html>
"""


def _roc_svg(false_rates: Sequence[float], true_rates: Sequence[float], side: int = 300) -> str:
    points = " ".join(f"{x * side:.1f},{(1 - y) * side:.1f}" for x, y in zip(false_rates, true_rates, strict=True))
    return (
        f'<svg width="{side}" height="{side}" role="img" aria-label="ROC curve">'
        f'<line x1="0" y1="{side}" x2="{side}" y2="0" stroke="#b6c0cb"/>'
        f'<polyline points="{points}" fill="none" stroke="#1f5fbf" stroke-width="2.5"/></svg>'
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(entry: dict[str, Any]) -> str:
    return f"{entry['ci95'][0]:.2f} to {entry['ci95'][1]:.2f}" if "ci95" in entry else ""
