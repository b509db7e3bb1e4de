"""Expressions of a pipeline definition, resolved when a step starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.errors import StepFailedError
from localcloud.sagemaker.expressions import Reference, parse_get, parse_path, walk
from localcloud.sagemaker.shapes import is_expression


@dataclass(frozen=True, slots=True)
class Resolver:
    """Where values come from. ``describe(step)`` is the Describe answer of what a step made, ``outcome(step)`` a

    condition's; ``property_file(step, name)`` and ``json_at(uri)`` read JSON documents from S3.
    """

    parameters: Mapping[str, Any]
    variables: Mapping[str, Any]
    describe: Callable[[str], Mapping[str, Any]]
    outcome: Callable[[str], str]
    property_file: Callable[[str, str], Any]
    json_at: Callable[[str], Any]

    def resolve(self, value: Any) -> Any:
        """A copy of ``value`` without expressions. Raises StepFailedError that names what is not there."""
        try:
            return self._resolve(value)
        except ValueError as error:
            raise StepFailedError(f"ClientError: Unable to resolve an expression: {error}") from error

    def _resolve(self, value: Any) -> Any:
        if is_expression(value):
            name, operand = next(iter(value.items()))
            if name == "Get":
                return self._get(parse_get(operand))
            if name == "Std:Join":
                return str(operand.get("On", "")).join(_text(self._resolve(item)) for item in operand["Values"])
            return self._json_get(operand)
        if isinstance(value, dict):
            return {key: self._resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolve(item) for item in value]
        return value

    def _get(self, reference: Reference) -> Any:
        if reference.scope == "Parameters":
            return walk(self.parameters, (reference.name,), "the list of parameters")
        if reference.scope == "Execution":
            return walk(self.variables, (reference.name,), "the execution")
        if reference.path == ("Outcome",):
            return self.outcome(reference.name)
        return walk(self.describe(reference.name), reference.path, f"the step {reference.name}")

    def _json_get(self, operand: Mapping[str, Any]) -> Any:
        if "PropertyFile" in operand:
            reference = parse_get(operand["PropertyFile"]["Get"])
            document, shown = self.property_file(reference.name, str(reference.path[-1])), str(reference.path[-1])
        else:
            shown = _text(self._resolve(operand["S3Uri"]))
            document = self.json_at(shown)
        return walk(document, parse_path(operand["Path"]), f"the file {shown}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError(f"a {type(value).__name__} cannot be joined into a string")
