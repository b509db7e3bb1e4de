"""Entry point of EvaluateModel: ``python -m pipeline.evaluation --minimum-roc-auc 0.7``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from ahiflow.dataset import parse_manifest
from ahiflow.errors import AhiflowError, DatasetError
from ahiflow.pipeline_contract import (
    CHANNEL_DATASET,
    CHANNEL_IMAGES,
    DATASET_MANIFEST_FILE,
    EVALUATION_FILE,
    INPUT_MODEL,
    OUTPUT_EVALUATION,
    container_root,
    processing_input,
    processing_output,
)
from pipeline.bundle import Bundle, unpack
from pipeline.evaluation.evaluate import build_evaluation, predict_held_out
from pipeline.evaluation.report import render_report

log = logging.getLogger(__name__)


def evaluate(root: Path, minimum_roc_auc: float) -> dict[str, Any]:
    """Evaluate the model on the held-out patients and write the step's output under ``root``."""
    try:
        manifest = parse_manifest((processing_input(CHANNEL_DATASET, root) / DATASET_MANIFEST_FILE).read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(f"input {CHANNEL_DATASET}: no {DATASET_MANIFEST_FILE}") from error
    with tempfile.TemporaryDirectory() as scratch:
        bundle = Bundle.load(unpack(processing_input(INPUT_MODEL, root) / "model.tar.gz", Path(scratch)))
        predictions = predict_held_out(bundle, manifest, processing_input(CHANNEL_IMAGES, root))
    evaluation = build_evaluation(predictions, manifest, minimum_roc_auc)
    output = processing_output(OUTPUT_EVALUATION, root)
    output.mkdir(parents=True, exist_ok=True)
    (output / "report.html").write_text(render_report(evaluation))
    (output / EVALUATION_FILE).write_text(json.dumps(evaluation, indent=2, allow_nan=False) + "\n")
    return evaluation


def main(arguments: list[str] | None = None) -> int:
    """Run the step. A model that fails the gate is no error: the pipeline's Condition decides what follows."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluation")
    parser.add_argument("--minimum-roc-auc", type=float, required=True)
    minimum_roc_auc = parser.parse_args(arguments).minimum_roc_auc
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
    root = container_root()
    try:
        evaluation = evaluate(root, minimum_roc_auc)
    except AhiflowError as error:
        log.error("%s", error)
        message = root / "output" / "message"
        message.parent.mkdir(parents=True, exist_ok=True)
        message.write_text(str(error))
        return 1
    log.info("gate passed=%d: %s", evaluation["gate"]["passed"], evaluation["gate"]["reason"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
