"""The model card: facts from the metadata, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

INTENDED_USE = "Research on retrospective images. Not for diagnosis, not a medical device."


def model_card(metadata: Mapping[str, Any]) -> str:
    """Markdown. The held-out figures stand in ``evaluation.json``: training never sees them."""
    ours = metadata["ahiflow"]
    splits = "\n".join(
        f"| {name} | {counts['patients']} | {counts['image_sets']} |" for name, counts in ours["splits"].items()
    )
    auc = ours["validation"]["roc_auc"]
    choices = "\n".join(f"| {name} | {value} |" for name, value in sorted(ours["training_config"].items()))
    return f"""# {metadata["name"]}

**Not for diagnosis.** {metadata["intended_use"]}

- Task: {metadata["task"]}
- Network: {metadata["network"]}
- Input: all slices of one image set, {", ".join(ours["modalities"])}; values: {ours["intensity"]}
- Output: probability of {ours["class_names"][1]!r}
- Dataset: `{ours["dataset_sha256"]}`; labels: `{ours["label_table_sha256"]}`
- Code: {ours["code_version"]}; environment lock: `{ours["requirements_lock_sha256"] or "none in the image"}`
- Validation, each patient by the network that was not trained on him (used to choose epoch {ours["best_epoch"]} \
and what to listen to, {ours["experts"]!r}, so optimistic): log loss \
{ours["validation"]["log_loss"]:.3f}, ROC-AUC {"one class only" if auc is None else f"{auc:.3f}"}
- Held-out test patients: see `evaluation.json` of the model package

| split | patients | image sets |
|---|---|---|
{splits}

| choice | value |
|---|---|
{choices}

## Limits

Learned from {sum(c["patients"] for c in ours["splits"].values())} patients. It knows the scanners, protocols and
populations of its dataset and no others. Slices are resampled to squares without regard to pixel spacing.
At most {ours["maximum_slices"]} evenly spaced slices of an image set are looked at.
"""
