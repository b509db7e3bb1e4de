"""The committed pipeline definition, with a deployment's values in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ahiflow.errors import ConfigurationError
from ahiflow.placeholders import fill
from config import StageConfig, parameter_defaults


def load(path: Path) -> dict[str, Any]:
    """Read the definition. Raises ConfigurationError that says how to make it."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path.name} is not rendered: run `make definition`") from error
    return document


def configured(document: Mapping[str, Any], config: StageConfig) -> dict[str, Any]:
    """A copy with the stage's parameter defaults, and without spot training when the stage does not want it."""
    copy: dict[str, Any] = json.loads(json.dumps(document))
    defaults = parameter_defaults(config)
    for parameter in copy["Parameters"]:
        if parameter["Name"] in defaults:
            parameter["DefaultValue"] = defaults.pop(parameter["Name"])
    if defaults:
        raise ConfigurationError(f"the pipeline has no parameter {', '.join(sorted(defaults))}")
    if not config.training_use_spot:
        for arguments in _training_arguments(copy["Steps"]):
            arguments["EnableManagedSpotTraining"] = False
            # CreateTrainingJob refuses a longest wait without spot instances.
            del arguments["StoppingCondition"]["MaxWaitTimeInSeconds"]
    return copy


def deployed(document: Mapping[str, Any], config: StageConfig, values: Mapping[str, str]) -> dict[str, Any]:
    """What a pipeline is made from: :func:`configured`, with every placeholder filled (tokens pass through)."""
    filled: dict[str, Any] = fill(configured(document, config), values)
    return filled


def _training_arguments(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for step in steps:
        if step["Type"] == "Training":
            found.append(step["Arguments"])
        if step["Type"] == "Condition":
            found += _training_arguments(step["Arguments"]["IfSteps"] + step["Arguments"]["ElseSteps"])
    return found
