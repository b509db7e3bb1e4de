"""What CurateDataset leaves behind: ``curation.json``, which a Condition reads, and the dataset to train on."""

from __future__ import annotations

import json
from pathlib import Path

from ahiflow import keys
from ahiflow.dataset import DatasetManifest
from ahiflow.image_set_document import IMAGE_SET_FILE, PIXELS_FILE
from ahiflow.pipeline_contract import CURATION_FILE, DATASET_MANIFEST_FILE, IMAGES_MANIFEST_FILE
from ahiflow.s3uri import S3Uri
from pipeline.curation.decide import Decision


def write_curation(directory: Path, decision: Decision) -> None:
    """Write ``curation.json``."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {
        "training_needed": 1 if decision.manifest is not None else 0,
        "reason": decision.reason,
        "dataset_sha256": decision.dataset_sha256,
        "labelled_image_sets": decision.labelled_image_sets,
        "new_labelled_image_sets": decision.new_labelled_image_sets,
        "patients": decision.patients,
        "left_out": decision.left_out,
    }
    (directory / CURATION_FILE).write_text(json.dumps(document, indent=2) + "\n")


def write_dataset(directory: Path, manifest: DatasetManifest | None, bucket: str) -> None:
    """Write ``manifest.json`` and ``images.manifest``; an empty folder when this execution does not train."""
    directory.mkdir(parents=True, exist_ok=True)
    if manifest is None:
        return
    (directory / DATASET_MANIFEST_FILE).write_bytes(manifest.canonical_json())
    (directory / IMAGES_MANIFEST_FILE).write_text(json.dumps(images_manifest(manifest, bucket), indent=1) + "\n")


def images_manifest(manifest: DatasetManifest, bucket: str) -> list[dict[str, str] | str]:
    """Name every object of the channel ``images`` (shape S3DataSource, S3DataType ManifestFile)."""
    prefix: dict[str, str] = {"prefix": str(S3Uri(bucket, keys.IMAGE_SETS))}
    files = [f"{s.path}/{name}" for s in manifest.items for name in (PIXELS_FILE, IMAGE_SET_FILE)]
    return [prefix, *files]
