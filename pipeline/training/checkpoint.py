"""Checkpoints, so that a spot interruption costs one epoch at most and changes no result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_FILE = "last.pt"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """One checkpoint in a folder that SageMaker copies to S3. ``identity`` says what it belongs to."""

    directory: Path
    identity: str

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint atomically."""
        self.directory.mkdir(parents=True, exist_ok=True)
        temporary = self.directory / f"{_FILE}.new"
        torch.save({"version": _VERSION, "identity": self.identity, "state": state}, temporary)
        temporary.replace(self.directory / _FILE)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The saved state; None when there is none, or when it is of another dataset, configuration or version."""
        path = self.directory / _FILE
        if not path.exists():
            return None
        found = torch.load(path, map_location=device, weights_only=True)
        if found["version"] != _VERSION or found["identity"] != self.identity:
            return None
        state: dict[str, Any] = found["state"]
        return state
