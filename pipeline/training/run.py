"""Entry point of TrainModel: from channels and hyperparameters to the model artefact."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import torch

from ahiflow.dataset import parse_manifest
from ahiflow.errors import DatasetError
from ahiflow.labels import canonical_json
from ahiflow.pipeline_contract import CHANNEL_DATASET, CHANNEL_IMAGES, CHECKPOINTS, DATASET_MANIFEST_FILE
from pipeline.training.checkpoint import CheckpointStore
from pipeline.training.config import TrainingConfig
from pipeline.training.data import load_training_data
from pipeline.training.export import Provenance, write_bundle, write_curves
from pipeline.training.loop import EpochResult, train

log = logging.getLogger(__name__)


def run(root: Path) -> None:
    """Train on what is under ``root`` (SageMaker's /opt/ml) and write the model there.

    Raises ConfigurationError, DatasetError, MalformedMetadataError. A checkpoint of the same dataset, configuration and
    code is continued.
    """
    config = TrainingConfig.read(root / "input" / "config" / "hyperparameters.json")
    channels = root / "input" / "data"
    try:
        manifest = parse_manifest((channels / CHANNEL_DATASET / DATASET_MANIFEST_FILE).read_bytes())
    except FileNotFoundError as error:
        raise DatasetError(f"channel {CHANNEL_DATASET}: no {DATASET_MANIFEST_FILE}") from error
    provenance = Provenance.of(manifest, Path(__file__).parents[2])
    data = load_training_data(manifest, channels / CHANNEL_IMAGES, config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
    # Nothing reads uninitialised memory, and filling it is slow. (A property of the module: mypy cannot see it.)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    log.info("dataset %s: %d/%d image sets on %s", manifest.sha256, len(data.train), len(data.validation), device)
    identity = {"dataset": manifest.sha256, "config": config.model_dump(), "code": provenance.code_version}
    checkpoints = CheckpointStore(root / CHECKPOINTS, hashlib.sha256(canonical_json(identity)).hexdigest())
    resume_from = checkpoints.load(device)
    if resume_from is not None:
        log.info("continuing after epoch %d", len(resume_from["results"]))
    trained = train(data, config, device, resume_from=resume_from, save=checkpoints.save, report=_report)
    write_bundle(root / "model", trained, data, manifest, config, provenance)
    write_curves(root / "output" / "data" / "curves.json", trained)
    log.info("best epoch %d of %d", trained.best_epoch, len(trained.epochs))


def _report(result: EpochResult) -> None:
    """One line that the training job's MetricDefinitions read (pipeline/definition)."""
    auc = "" if result.validation_roc_auc is None else f", validation_roc_auc={result.validation_roc_auc:.6f}"
    log.info(
        "epoch=%d, train_loss=%.6f, validation_loss=%.6f%s",
        result.epoch,
        result.train_loss,
        result.validation_loss,
        auc,
    )
