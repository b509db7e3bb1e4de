"""A trained model as it was exported: TorchScript and metadata. Evaluation and serving use exactly this."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from ahiflow.errors import ConfigurationError, NotFoundError
from pipeline.imaging import Intensity, SlicesNHW


class ModelFacts(BaseModel):
    """What stands under ``ahiflow`` in ``configs/metadata.json`` and matters when predicting."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    label_name: str
    class_names: tuple[str, str]
    modalities: tuple[str, ...]
    intensity: Intensity
    maximum_slices: int
    dataset_sha256: str
    code_version: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded model. Safe to share between threads."""

    facts: ModelFacts
    script: Any

    @classmethod
    def load(cls, directory: Path) -> Bundle:
        """Load from a bundle folder. Raises NotFoundError, or ConfigurationError for one of another version."""
        metadata_file, script_file = directory / "configs" / "metadata.json", directory / "models" / "model.ts"
        for path in (metadata_file, script_file):
            if not path.exists():
                raise NotFoundError(f"no model: {path.relative_to(directory)} is missing")
        try:
            facts = ModelFacts.model_validate(json.loads(metadata_file.read_text())["ahiflow"])
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            script = torch.jit.load(str(script_file), map_location=device)  # type: ignore[no-untyped-call]
        except (ValidationError, json.JSONDecodeError, KeyError, RuntimeError) as error:
            raise ConfigurationError("the model was not written by this version") from error
        return cls(facts, script.eval())

    def predict(self, slices: SlicesNHW) -> float:
        """Probability of the positive class for one image set's slices (slice, row, column) of modality values."""
        with torch.inference_mode():
            device = next(self.script.parameters()).device
            return float(self.script(torch.from_numpy(slices).to(device)))


def unpack(archive: Path, directory: Path) -> Path:
    """Unpack ``model.tar.gz``; members that would leave the folder are refused. Raises ConfigurationError."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
    except FileNotFoundError as error:
        raise NotFoundError(f"no model: {archive.name} is missing") from error
    except tarfile.TarError as error:
        raise ConfigurationError(f"{archive.name} is not a usable archive ({type(error).__name__})") from error
    return directory
