"""Hyperparameters: strings from SageMaker to one frozen, checked object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ahiflow.errors import ConfigurationError


class TrainingConfig(BaseModel):
    """Every choice of a training, fixed before it sees data. Unknown names and values out of range are refused.

    ``epochs`` is the most that is trained; ``patience`` epochs without a better validation loss end it earlier, and
    the best epoch is kept. An epoch makes as many optimiser steps of ``batch_size`` image sets as show each once, and
    ``minimum_steps`` at least; both classes are drawn equally often, and ``slices_per_draw`` slices of an image set at
    most. ``members`` networks are averaged; each left other patients out of its training (``folds``). ``image_size``
    is in pixels a side; ``maximum_slices`` of an image set, evenly spaced, are used at all; ``learning_rate`` and
    ``weight_decay`` are AdamW's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=12, ge=1, le=1000)
    patience: int = Field(default=12, ge=1, le=1000)
    minimum_steps: int = Field(default=16, ge=1, le=10_000)
    batch_size: int = Field(default=4, ge=1, le=256)
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    weight_decay: float = Field(default=1e-2, ge=0, le=10)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    slices_per_draw: int = Field(default=4, ge=1, le=1024)
    members: int = Field(default=4, ge=1, le=25)
    image_size: int = Field(default=128, ge=32, le=1024)
    maximum_slices: int = Field(default=32, ge=1, le=1024)
    seed: int = Field(default=20261121, ge=0, lt=2**31)

    @classmethod
    def from_hyperparameters(cls, hyperparameters: Mapping[str, Any]) -> Self:
        """Parse what SageMaker passes: strings, JSON-encoded or not. Raises ConfigurationError naming each fault."""
        try:
            return cls.model_validate({name: _plain(value) for name, value in hyperparameters.items()})
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False)
            said = "; ".join(
                f"unknown hyperparameter {_name(fault)}"
                if fault["type"] == "extra_forbidden"
                else f"hyperparameter {_name(fault)}: {fault['msg']}"
                for fault in faults
            )
            raise ConfigurationError(said) from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read ``hyperparameters.json``; all defaults when there is none. Raises ConfigurationError."""
        try:
            hyperparameters = json.loads(path.read_text())
        except FileNotFoundError:
            return cls()
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"{path.name} is not JSON") from error
        if not isinstance(hyperparameters, dict):
            raise ConfigurationError(f"{path.name} is not an object")
        return cls.from_hyperparameters(hyperparameters)


def _plain(value: Any) -> Any:
    """``'"0.001"'`` (the SDK JSON-encodes strings) to ``'0.001'``."""
    if isinstance(value, str) and len(value) >= 2 and value.startswith('"') and value.endswith('"'):
        return value[1:-1]
    return value


def _name(fault: Mapping[str, Any]) -> str:
    return str(fault["loc"][0]) if fault["loc"] else "?"
