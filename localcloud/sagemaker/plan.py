"""Which step may start next: a pure function of the definition and of what became of the steps so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localcloud.sagemaker.definition import Definition, Step

ACTIVE = frozenset({"Starting", "Executing", "Stopping"})
State = Mapping[str, Mapping[str, Any]]


def ready_steps(definition: Definition, states: State) -> list[Step]:
    """Steps that may start now, in the definition's order. ``states`` holds the steps that have started."""
    skipped = skipped_steps(definition, states)
    ready = []
    for step in definition.steps.values():
        if step.name in states or step.name in skipped:
            continue
        needed = all(states.get(name, {}).get("status") == "Succeeded" for name in step.needs)
        passed = all(_is_over(name, states, skipped) for name in step.after)
        if needed and passed:
            ready.append(step)
    return ready


def skipped_steps(definition: Definition, states: State) -> frozenset[str]:
    """Steps that will never run: in a branch not taken, or behind such a step."""
    skipped: set[str] = set()
    for step in definition.steps.values():  # what a step needs comes before it
        untaken = any(
            states.get(condition, {}).get("outcome") not in (None, branch) for condition, branch in step.guards
        )
        if untaken or step.needs & skipped:
            skipped.add(step.name)
    return frozenset(skipped)


def _is_over(name: str, states: State, skipped: frozenset[str]) -> bool:
    return name in skipped or states.get(name, {}).get("status") == "Succeeded"
