"""Pipeline parameters: declared in the definition, given as strings, typed when an execution starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.errors import validation

_TYPES = ("String", "Integer", "Float", "Boolean")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One declared parameter. ``default`` None: it must be given."""

    name: str
    type: str
    default: Any
    allowed: tuple[Any, ...]


def parse_parameters(declared: Any) -> dict[str, Parameter]:
    """Read Parameters of a definition. Raises ValueError."""
    parameters: dict[str, Parameter] = {}
    if not isinstance(declared, list):
        raise ValueError("Parameters must be a list.")
    for item in declared:
        if not isinstance(item, dict) or not isinstance(item.get("Name"), str) or item.get("Type") not in _TYPES:
            raise ValueError(f"A parameter has a Name and a Type, one of {', '.join(_TYPES)}.")
        name = item["Name"]
        unknown = set(item) - {"Name", "Type", "DefaultValue", "EnumValues"}
        if unknown or name in parameters:
            raise ValueError(f"The parameter {name} is declared twice or has unknown members.")
        allowed = tuple(item.get("EnumValues") or ())
        parameter = Parameter(name, item["Type"], item.get("DefaultValue"), allowed)
        if parameter.default is not None:
            _check_default(parameter)
        parameters[name] = parameter
    return parameters


def _check_default(parameter: Parameter) -> None:
    fits = {"String": str, "Integer": int, "Float": (int, float), "Boolean": bool}[parameter.type]
    is_bool = isinstance(parameter.default, bool)
    if not isinstance(parameter.default, fits) or (is_bool and parameter.type != "Boolean"):  # type: ignore[arg-type]
        raise ValueError(f"The default of the parameter {parameter.name} is no {parameter.type}.")
    if parameter.allowed and parameter.default not in parameter.allowed:
        raise ValueError(f"The default of the parameter {parameter.name} is not one of its EnumValues.")


def bind(declared: Mapping[str, Parameter], given: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Values of an execution's parameters. Raises ValidationException for unknown, missing and malformed ones."""
    values = {item["Name"]: item["Value"] for item in given}
    if len(values) != len(given):
        raise validation("A pipeline parameter is given twice")
    unknown = sorted(set(values) - set(declared))
    if unknown:
        raise validation(f"Pipeline parameters [{', '.join(unknown)}] are not defined in the pipeline definition")
    missing = [name for name, parameter in declared.items() if parameter.default is None and name not in values]
    if missing:
        raise validation(f"Parameters [{', '.join(missing)}] do not have default value and must be provided")
    return {name: _value(parameter, values) for name, parameter in declared.items()}


def _value(parameter: Parameter, values: Mapping[str, str]) -> Any:
    if parameter.name not in values:
        return parameter.default
    text = values[parameter.name]
    try:
        value = _typed(parameter.type, text)
    except ValueError as error:
        raise validation(f"The value of the parameter {parameter.name} is no {parameter.type}") from error
    if parameter.allowed and value not in parameter.allowed:
        raise validation(f"The value of the parameter {parameter.name} is not one of {list(parameter.allowed)}")
    return value


def _typed(kind: str, text: str) -> Any:
    if kind == "Integer":
        return int(text)
    if kind == "Float":
        return float(text)
    if kind == "Boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    return text
