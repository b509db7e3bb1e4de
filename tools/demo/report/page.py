"""``build/demo/report.html``: one self-contained page that a person would show a colleague."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment as Templates
from jinja2 import FileSystemLoader, StrictUndefined

from ahiflow.s3uri import S3Uri
from tools.demo.evidence import Cloud
from tools.demo.report import figures
from tools.demo.report.pictures import Picture, thumbnail
from tools.demo.report.timeline import Milestones, timeline_bars
from tools.demo.summary import Evidence

Json = dict[str, Any]
MOST_PICTURES = 60
_SPLIT_COLOURS = {"train": "blue", "validation": "violet", "test": "teal"}


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the page tells. ``model_folder`` is the retrieved model, or None when there is none."""

    description: str
    summary: Json
    evidence: Evidence
    milestones: Milestones
    model_folder: Path | None
    signature: Json
    problems: Sequence[str]


def write_report(path: Path, cloud: Cloud, story: Story) -> None:
    """Write the page. It needs no server and loads nothing."""
    templates = Templates(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True)
    page = templates.get_template("page.html").render(
        duration=_duration(story.summary["seconds"]["total"]),
        description=story.description,
        cards=_cards(story.summary),
        problems=story.problems,
        pictures=_pictures(cloud, story.evidence),
        gallery_note=_gallery_note(story.evidence),
        timeline=figures.timeline(timeline_bars(cloud, story.evidence, story.milestones)),
        model_card=_model_card(story),
        limits=_limits(story),
        evidence=_evidence_rows(story),
        failures=_failures(story.evidence),
        **_model_figures(story),
    )
    path.write_text(page)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _cards(summary: Json) -> list[Json]:
    instances, executions, frames = summary["instances"], summary["executions"], summary["frames"]
    auc = summary["model"]["metrics"].get("roc_auc")
    shown = f"{auc['value']:.2f}" if auc else "-"
    interval = f"ROC-AUC, 95 % {auc['ci95'][0]:.2f} to {auc['ci95'][1]:.2f}" if auc and auc.get("ci95") else "ROC-AUC"
    return [
        {"value": instances["acknowledged"], "text": f"instances acknowledged of {instances['sent']} sent"},
        {"value": instances["imported"], "text": f"imported of {instances['stored']} stored"},
        {"value": summary["image_sets"], "text": f"image sets, {executions['succeeded']} executions succeeded"},
        {"value": frames["verified"], "text": f"frames verified of {frames['fetched']} fetched"},
        {"value": shown, "text": interval},
        {"value": summary["model"]["approval_status"] or "none", "text": "model package"},
    ]


def _pictures(cloud: Cloud, evidence: Evidence) -> list[Picture]:
    items = {item["image_set_id"]: item for item in (evidence.dataset or {}).get("items", [])}
    predictions = {item["image_set_id"]: item for item in (evidence.evaluation or {}).get("predictions", [])}
    found: list[Picture] = []
    labelled_first = sorted(
        evidence.fetches.values(), key=lambda f: (f["image_set_id"] not in items, f["image_set_id"])
    )
    for fetch in labelled_first:
        if fetch["frames_fetched"] == 0 or len(found) >= MOST_PICTURES:
            continue
        uri = S3Uri.parse(fetch["image_set_uri"])
        document = json.loads(cloud.read(uri.bucket, (uri / "image_set.json").key))
        image = thumbnail(cloud.read(uri.bucket, (uri / document["pixels"]["file"]).key), document)
        ident = fetch["image_set_id"]
        found.append(Picture(image, _caption(document), _chips(items.get(ident), predictions.get(ident), evidence)))
    return found


def _caption(document: Mapping[str, Any]) -> str:
    attributes = document.get("attributes") or {}
    frames = len(document["frames"])
    return f"{attributes.get('Modality') or 'image'} · {frames} frame{'s' if frames != 1 else ''}"


def _chips(item: Json | None, prediction: Json | None, evidence: Evidence) -> tuple[tuple[str, str], ...]:
    if item is None:
        return (("unlabelled", ""),)
    names = (evidence.dataset or {})["class_names"]
    label = int(item["label"])
    chips = [(str(names[label]), "amber" if label else ""), (item["split"], _SPLIT_COLOURS[item["split"]])]
    if prediction:
        says = prediction["probability"] >= (evidence.evaluation or {})["threshold"]
        chips.append((f"p = {prediction['probability']:.2f}", "green" if says == bool(label) else "red"))
    return tuple(chips)


def _gallery_note(evidence: Evidence) -> str:
    shown = sum(1 for fetch in evidence.fetches.values() if fetch["frames_fetched"])
    hidden = len(evidence.image_sets) - min(shown, MOST_PICTURES)
    notes = []
    if evidence.evaluation is not None:
        positive = (evidence.dataset or {})["class_names"][1]
        notes.append(
            f"p: the model's probability of {positive} for test patients; green where it is right, red where not."
        )
    if hidden:
        notes.append(f"Not shown, or without pixels: {hidden}.")
    return " ".join(notes)


def _model_figures(story: Story) -> Json:
    evaluation = story.evidence.evaluation
    if evaluation is None or story.model_folder is None:
        return {"curves": "", "roc": "", "confusion": "", "model_note": ""}
    metrics = evaluation["binary_classification_metrics"]
    curve = metrics["receiver_operating_characteristic_curve"]
    names = (story.evidence.dataset or {})["class_names"]
    counts = metrics["confusion_matrix"]
    matrix = [[int(counts[str(true)][str(predicted)]) for predicted in (0, 1)] for true in (0, 1)]
    found = sorted(story.model_folder.rglob("curves.json"))
    curves = json.loads(found[0].read_text())["epochs"] if found else []
    facts = story.summary["dataset"]
    low, high = metrics["roc_auc"]["ci95"]
    return {
        "curves": figures.learning_curves(curves) if curves else "",
        "roc": figures.roc(
            curve["false_positive_rates"],
            curve["true_positive_rates"],
            f"test patients: AUC {metrics['roc_auc']['value']:.2f} ({low:.2f} to {high:.2f})",
        ),
        "confusion": figures.confusion(matrix, [str(name) for name in names]),
        "model_note": (
            f"{facts['patients']} patients; image sets: {facts['train']} for training, "
            f"{facts['validation']} for validation, {facts['test']} for the test. No patient stands in two of them."
        ),
    }


def _model_card(story: Story) -> list[tuple[str, Any]]:
    metadata: Json = {}
    if story.model_folder is not None:
        found = sorted(story.model_folder.rglob("metadata.json"))
        metadata = json.loads(found[0].read_text()) if found else {}
    rows = [("Task", metadata.get("task")), ("Intended use", metadata.get("intended_use"))]
    rows += [("Network", metadata.get("network")), ("Trained on", metadata.get("data_source") or story.description)]
    for name, metric in story.summary["model"]["metrics"].items():
        interval = metric.get("ci95")
        text = f"{metric['value']:.3f}" + (f"  (95 % {interval[0]:.2f} to {interval[1]:.2f})" if interval else "")
        rows.append((name.replace("_", " "), text))
    return [(name, value) for name, value in rows if value]


def _limits(story: Story) -> str:
    return (
        f"The test holds only {story.summary['dataset']['test']} image sets: whatever the interval, such a figure "
        "says that the chain works, not how good a model would be on other patients. Scanners, populations and "
        "protocols outside this cohort were not seen."
    )


def _failures(evidence: Evidence) -> list[tuple[str, str]]:
    return [(item["inputFile"].rsplit("/", 1)[-1], item["exception"]["message"]) for item in evidence.import_failures]


def _answer(prediction: Json) -> str:
    truth = f", true label: {prediction['true_label']}" if "true_label" in prediction else ""
    return f"{prediction['label']} (probability {prediction['probability']:.2f}){truth}"


def _evidence_rows(story: Story) -> list[tuple[str, Any]]:
    summary, signature = story.summary, story.signature
    rows = [
        ("model package", summary["model"]["model_package_arn"]),
        ("dataset SHA-256", summary["dataset"]["sha256"]),
        ("artefact SHA-256", signature.get("artefact_sha256")),
        ("approved by", signature.get("approver")),
        ("meaning", signature.get("meaning")),
        ("signed at", signature.get("signed_at")),
        ("endpoint", summary["endpoint"]["name"]),
        ("asked about a test patient", _answer(summary["endpoint"]["prediction"])),
        ("retrieved to", summary["retrieved_model"]),
    ]
    return [(name, value) for name, value in rows if value]
