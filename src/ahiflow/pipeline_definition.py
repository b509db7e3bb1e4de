"""The committed pipeline definition with a deployment's values: deployed by the CDK app, run by the local cloud."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ahiflow.errors import ConfigurationError
from ahiflow.placeholders import fill


def load(path: Path) -> dict[str, Any]:
    """Read the definition. Raises ConfigurationError that says how to make it."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path.name} is missing: `make definition` makes it") from error
    except ValueError as error:
        raise ConfigurationError(f"{path.name} is no JSON: `make definition` makes it") from error
    return document


def deployed(
    document: Mapping[str, Any],
    *,
    defaults: Mapping[str, str | int | float],
    use_spot: bool,
    values: Mapping[str, str],
) -> dict[str, Any]:
    """A copy with the stage's parameter defaults, and without spot training when the stage does not want it.

    Every placeholder is filled from ``values`` (tokens pass through). Raises ConfigurationError for a default of a
    parameter that the definition does not have, and for a placeholder without a value.
    """
    copy: dict[str, Any] = json.loads(json.dumps(document))
    left = dict(defaults)
    for parameter in copy["Parameters"]:
        if parameter["Name"] in left:
            parameter["DefaultValue"] = left.pop(parameter["Name"])
    if left:
        raise ConfigurationError(f"the pipeline has no parameter {', '.join(sorted(left))}")
    if not use_spot:
        for arguments in _training_arguments(copy["Steps"]):
            arguments["EnableManagedSpotTraining"] = False
            # CreateTrainingJob refuses a longest wait without spot instances.
            del arguments["StoppingCondition"]["MaxWaitTimeInSeconds"]
    filled: dict[str, Any] = fill(copy, values)
    return filled


def _training_arguments(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for step in steps:
        if step["Type"] == "Training":
            found.append(step["Arguments"])
        if step["Type"] == "Condition":
            found += _training_arguments(step["Arguments"]["IfSteps"] + step["Arguments"]["ElseSteps"])
    return found
