"""A pipeline definition, parsed and checked as a whole before anything runs (schema version 2020-12-01)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from localcloud.sagemaker.conditions import check_conditions
from localcloud.sagemaker.errors import ServiceError, validation
from localcloud.sagemaker.expressions import EXECUTION_VARIABLES, Reference, check_property, references
from localcloud.sagemaker.parameters import Parameter, parse_parameters
from localcloud.sagemaker.shapes import check_arguments, compile_pattern

# Step type -> (operation whose request Arguments are, the member that the service generates).
CREATED_BY = {
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "RegisterModel": ("CreateModelPackage", "ModelPackageName"),
    "Model": ("CreateModel", "ModelName"),
}
STEP_TYPES = (*CREATED_BY, "Condition", "Fail")
_TOP = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
_STEP = {"Name", "Type", "Arguments", "DependsOn", "DisplayName", "Description"}
_STEP |= {"PropertyFiles", "CacheConfig", "RetryPolicies"}
_STEP_NAME = r"[A-Za-z0-9\-_]{1,64}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``needs``: steps that must have succeeded; ``after``: steps that must not be under way or to come.

    ``guards``: (condition step, branch taken) under which it runs at all, outermost first.
    """

    name: str
    type: str
    arguments: dict[str, Any]
    needs: frozenset[str]
    after: frozenset[str]
    guards: tuple[tuple[str, bool], ...]
    property_files: Mapping[str, tuple[str, str]]
    display_name: str | None
    description: str | None


@dataclass(frozen=True, slots=True)
class Definition:
    """Parameters and steps by name; steps are in an order in which they can run."""

    parameters: Mapping[str, Parameter]
    steps: Mapping[str, Step]


def parse_definition(text: str) -> Definition:
    """Parse and check. Raises ValidationException as CreatePipeline does; nothing unsupported gets through."""
    try:
        return _parse(text)
    except ValueError as error:
        raise validation(f"Unable to parse pipeline definition. {error}") from error
    except ServiceError as error:
        raise validation(f"Unable to parse pipeline definition. {error.message}") from error


@lru_cache(maxsize=64)
def _parse(text: str) -> Definition:
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("Steps"), list) or not document["Steps"]:
        raise ValueError("A definition is an object with a list of Steps.")
    _check_keys(document, _TOP, "definition")
    if document.get("Version") != "2020-12-01":
        raise ValueError("Version must be 2020-12-01.")
    parameters = parse_parameters(document.get("Parameters") or [])
    raw: dict[str, tuple[dict[str, Any], tuple[tuple[str, bool], ...]]] = {}
    for step, guards in _flatten(document["Steps"], ()):
        if step["Name"] in raw:
            raise ValueError(f"Two steps have the name {step['Name']}.")
        raw[step["Name"]] = (step, guards)
    steps = {name: _read_step(step, guards, raw, parameters) for name, (step, guards) in raw.items()}
    try:
        order = TopologicalSorter({s.name: s.needs | s.after for s in steps.values()}).static_order()
        return Definition(parameters, {name: steps[name] for name in order})
    except CycleError as error:
        raise ValueError(f"Steps depend on each other in a circle: {' -> '.join(error.args[1])}.") from error


def _flatten(
    steps: Any, guards: tuple[tuple[str, bool], ...]
) -> Iterator[tuple[dict[str, Any], tuple[tuple[str, bool], ...]]]:
    if not isinstance(steps, list):
        raise ValueError("Steps must be a list.")
    for step in steps:
        if not isinstance(step, dict) or not isinstance(step.get("Name"), str):
            raise ValueError("A step is an object with a Name.")
        name, kind = step["Name"], step.get("Type")
        if not compile_pattern(_STEP_NAME).fullmatch(name):
            raise ValueError(f"The step name {name!r} must match {_STEP_NAME}.")
        if kind not in STEP_TYPES:
            raise ValueError(f"The step {name} has the type {kind}, which is not supported: {', '.join(STEP_TYPES)}.")
        _check_keys(step, _STEP, f"step {name}")
        if not isinstance(step.get("Arguments"), dict):
            raise ValueError(f"The step {name} has no Arguments.")
        yield step, guards
        if kind == "Condition":
            _check_keys(step["Arguments"], {"Conditions", "IfSteps", "ElseSteps"}, f"step {name}")
            for branch, taken in (("IfSteps", True), ("ElseSteps", False)):
                yield from _flatten(step["Arguments"].get(branch) or [], (*guards, (name, taken)))


def _read_step(
    step: dict[str, Any], guards: tuple[tuple[str, bool], ...], raw: Mapping[str, Any], parameters: Mapping[str, Any]
) -> Step:
    name, kind, arguments = step["Name"], step["Type"], step["Arguments"]
    try:
        needs, after = _explicit(step, guards, raw)
        if kind == "Condition":
            arguments = {"Conditions": arguments.get("Conditions")}
            check_conditions(arguments["Conditions"])
        elif kind == "Fail":
            _check_keys(arguments, {"ErrorMessage"}, "arguments")
        else:
            operation, generated = CREATED_BY[kind]
            check_arguments(operation, arguments, generated, "Arguments")
        for reference in references(arguments):
            needed = _check_reference(reference, raw, parameters)
            needs |= {needed} if needed else set()
        property_files = _property_files(step)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"Step {name}: {error}") from error
    except ServiceError as error:
        raise ValueError(f"Step {name}: {error.message}") from error
    return Step(
        name=name,
        type=kind,
        arguments=arguments,
        needs=frozenset(needs | {condition for condition, _ in guards}),
        after=frozenset(after - {name}),
        guards=guards,
        property_files=property_files,
        display_name=step.get("DisplayName"),
        description=step.get("Description"),
    )


def _explicit(
    step: dict[str, Any], guards: tuple[tuple[str, bool], ...], raw: Mapping[str, Any]
) -> tuple[set[str], set[str]]:
    """DependsOn. A condition step that is depended on brings the steps of its branches with it."""
    needs: set[str] = set()
    after: set[str] = set()
    for entry in step.get("DependsOn") or []:
        name = str(entry.get("Step") if isinstance(entry, dict) else entry)
        if isinstance(entry, dict) and entry.get("Trigger", "Completed") != "Completed":
            raise ValueError(f"the trigger {entry['Trigger']} in DependsOn is not supported")
        if name not in raw:
            raise ValueError(f"DependsOn names {name!r}, which is no step")
        needs.add(name)
        if raw[name][0]["Type"] == "Condition" and name not in dict(guards):
            after |= {other for other, (_, their_guards) in raw.items() if name in dict(their_guards)}
    return needs, after


def _check_reference(reference: Reference, raw: Mapping[str, Any], parameters: Mapping[str, Any]) -> str | None:
    """Check that what is referred to exists; returns the step that has to come first."""
    if reference.scope == "Parameters":
        if reference.name not in parameters:
            raise ValueError(f"there is no parameter {reference.name}")
        return None
    if reference.scope == "Execution":
        if reference.name not in EXECUTION_VARIABLES:
            raise ValueError(f"there is no execution variable {reference.name}")
        return None
    if reference.name not in raw:
        raise ValueError(f"there is no step {reference.name}")
    step = raw[reference.name][0]
    if reference.path[:1] == ("PropertyFiles",):
        if len(reference.path) != 2 or str(reference.path[1]) not in _property_files(step):
            raise ValueError(f"the step {reference.name} has no property file {reference.path[-1]}")
    elif reference.path == ("Outcome",) and step["Type"] == "Condition":
        return reference.name
    elif step["Type"] not in CREATED_BY:
        raise ValueError(f"a {step['Type']} step has no property {'.'.join(map(str, reference.path))}")
    else:
        check_property(step["Type"], reference.path)
    return reference.name


def _property_files(step: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Property file name -> (output name, path in it)."""
    files = {}
    for item in step.get("PropertyFiles") or []:
        if set(item) != {"PropertyFileName", "OutputName", "FilePath"}:
            raise ValueError("a property file has PropertyFileName, OutputName and FilePath")
        outputs = step["Arguments"].get("ProcessingOutputConfig", {}).get("Outputs", [])
        if item["OutputName"] not in [output["OutputName"] for output in outputs]:
            raise ValueError(f"the property file {item['PropertyFileName']} lies in no output of the step")
        files[item["PropertyFileName"]] = (item["OutputName"], item["FilePath"])
    return files


def _check_keys(document: dict[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(document) - known)
    if unknown:
        raise ValueError(f"Unknown in the {what}: {', '.join(unknown)}.")
