"""The model artefact: MONAI bundle layout, with a TorchScript that needs nothing but PyTorch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from torch import Tensor, nn

import ahiflow
from ahiflow.dataset import DatasetManifest
from pipeline.training.card import INTENDED_USE, model_card
from pipeline.training.config import TrainingConfig
from pipeline.training.data import TrainingData
from pipeline.training.loop import Trained
from pipeline.training.network import Ensemble
from pipeline.training.preprocess import AIR_HU, MAXIMUM_HU, to_square

_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"


class ExportedModel(nn.Module):
    """What is deployed: modality values of one image set in, probability of the positive class out.

    Contract
        - Input (slice, row, column), float32, of any size: HU for CT, values after rescale otherwise.
        - Output has no axes: the probability, 0 ... 1.
    """

    def __init__(self, ensemble: Ensemble, size: int, hounsfield: bool) -> None:
        super().__init__()
        self.ensemble = ensemble
        self.size = size
        self.hounsfield = hounsfield

    def forward(self, slices: Tensor) -> Tensor:
        """Prepare and classify."""
        prepared = to_square(slices, self.size, self.hounsfield)
        return torch.sigmoid(self.ensemble(prepared, [prepared.shape[0]])).squeeze(0)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What made the model. ``requirements_lock_sha256`` is None where the lock does not ship with the code."""

    dataset_sha256: str
    code_version: str
    requirements_lock_sha256: str | None

    @classmethod
    def of(cls, manifest: DatasetManifest, root: Path) -> Provenance:
        """``root`` is the folder that holds ``pipeline/``, and the lock where there is one."""
        lock = root / "requirements.lock"
        digest = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None
        return cls(manifest.sha256, f"ahiflow {ahiflow.__version__} ({source_digest(root / 'pipeline')})", digest)


def source_digest(folder: Path) -> str:
    """First 16 hex digits of a SHA-256 over the names and bytes of the Python files: the code that really ran."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def write_bundle(
    directory: Path,
    trained: Trained,
    data: TrainingData,
    manifest: DatasetManifest,
    config: TrainingConfig,
    provenance: Provenance,
) -> None:
    """Write configs, weights, TorchScript, curves and model card below ``directory``."""
    for folder in ("configs", "models", "docs"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    hounsfield = data.intensity == "hounsfield"
    exported = ExportedModel(trained.network, config.image_size, hounsfield).eval()
    torch.save(trained.network.state_dict(), directory / "models" / "model.pt")
    torch.jit.save(torch.jit.script(exported), str(directory / "models" / "model.ts"))
    metadata = build_metadata(trained, data, manifest, config, provenance)
    _write_json(directory / "configs" / "metadata.json", metadata)
    _write_json(directory / "configs" / "inference.json", _inference_config(config, hounsfield))
    write_curves(directory / "docs" / "curves.json", trained)
    (directory / "docs" / "README.md").write_text(model_card(metadata))


def write_curves(path: Path, trained: Trained) -> None:
    """Write one row an epoch; losses in nats."""
    rows = [
        {
            "epoch": r.epoch,
            "train_loss": r.train_loss,
            "validation_loss": r.validation_loss,
            "validation_roc_auc": r.validation_roc_auc,
        }
        for r in trained.epochs
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_json(path, {"epochs": rows, "best_epoch": trained.best_epoch})


def build_metadata(
    trained: Trained,
    data: TrainingData,
    manifest: DatasetManifest,
    config: TrainingConfig,
    provenance: Provenance,
) -> dict[str, Any]:
    """``metadata.json`` of a MONAI bundle; what is ours stands under ``ahiflow``. Holds no patient, no pseudonym."""
    hounsfield = data.intensity == "hounsfield"
    value_range = [AIR_HU, MAXIMUM_HU] if hounsfield else [0, 1]
    counts = {
        split: {"image_sets": len(manifest.of_split(split)), "patients": len(manifest.patients(split))}
        for split in ("train", "validation", "test")
    }
    best = trained.epochs[trained.best_epoch - 1]
    return {
        "schema": _SCHEMA,
        "version": ahiflow.__version__,
        "changelog": {ahiflow.__version__: f"trained on dataset {provenance.dataset_sha256}"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "required_packages_version": {},
        "name": f"{manifest.label_name} classifier",
        "task": f"Tell image sets with {manifest.class_names[1]!r} from those with {manifest.class_names[0]!r}",
        "description": "Classifies one image set from all its slices.",
        "authors": "ahiflow",
        "copyright": "the owner of the training data",
        "intended_use": INTENDED_USE,
        "data_source": (
            f"{len(manifest.items)} labelled image sets of {len(manifest.patients())} patients "
            f"({', '.join(data.modalities)}), dataset {provenance.dataset_sha256[:12]}"
        ),
        "network": (
            f"{config.members} networks averaged, {sum(p.numel() for p in trained.network.parameters())} weights: "
            "area fractions by value, and convolutions with mean and maximum pooling; "
            f"validation chose {best.experts!r}"
        ),
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": data.intensity,
                    "modality": "/".join(data.modalities),
                    "num_channels": 1,
                    "spatial_shape": [config.image_size, config.image_size],
                    "dtype": "float32",
                    "value_range": value_range,
                    "is_patch_data": False,
                    "channel_def": {"0": "image"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "classes",
                    "num_channels": 1,
                    "spatial_shape": [],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": False,
                    "channel_def": {"0": manifest.class_names[1]},
                }
            },
        },
        "ahiflow": {
            "label_name": manifest.label_name,
            "class_names": list(manifest.class_names),
            "modalities": list(data.modalities),
            "intensity": data.intensity,
            "maximum_slices": config.maximum_slices,
            "dataset_sha256": provenance.dataset_sha256,
            "label_table_sha256": manifest.label_table_sha256,
            "splits": counts,
            "code_version": provenance.code_version,
            "requirements_lock_sha256": provenance.requirements_lock_sha256,
            "training_config": config.model_dump(),
            "best_epoch": trained.best_epoch,
            "experts": best.experts,
            "validation": {"log_loss": best.validation_loss, "roc_auc": best.validation_roc_auc},
        },
    }


def _inference_config(config: TrainingConfig, hounsfield: bool) -> dict[str, Any]:
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": "pipeline.training.network.Ensemble",
            "members": config.members,
            "hounsfield": hounsfield,
            "dropout": config.dropout,
        },
        "weights": "$torch.load(@bundle_root + '/models/model.pt', map_location=@device, weights_only=True)",
        "network": "$@network_def.to(@device).eval()",
        "load": "$@network.load_state_dict(@weights)",
        "script": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device)",
    }


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")
