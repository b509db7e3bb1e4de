"""Requests and responses against botocore's model of SageMaker: the judge of what a request may hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator

from localcloud.sagemaker.errors import ServiceError, validation

# JSON text, checked by parsing: its pattern backtracks without end on a large definition.
_NO_PATTERN = frozenset({"PipelineDefinition"})
_COUNTED_ANCHOR = re.compile(r"\$\{\d+,\d+\}")  # in CustomerMetadataKey and -Value: Python refuses it
_SURROGATES = r"\uD800\uDC00-\uDBFF\uDFFF"  # how Java spells the planes above the first
_CATEGORY = re.compile(r"\\p\{(\w+)\}")


@lru_cache(maxsize=1)
def service_model() -> Any:
    """botocore's model of the service, read once; a profile in the environment of the host is not looked at."""
    return ServiceModel(create_loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def operation(name: str) -> OperationModel:
    """Model of one operation. Raises botocore's OperationNotFoundError for a name that AWS has not."""
    return service_model().operation_model(name)


def check_request(operation_name: str, request: dict[str, Any]) -> None:
    """Raise ValidationException when the request does not fit the operation's input shape."""
    shape = operation(operation_name).input_shape
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise validation(" ".join(report.generate_report().split()))
    _raise_first(find_violations(shape, request))


def check_response(operation_name: str, response: dict[str, Any]) -> list[str]:
    """Everything in which a response differs from the output shape; tests hold every answer to it."""
    shape = operation(operation_name).output_shape
    if shape is None:
        return [f"{operation_name} answers nothing"] if response else []
    report = ParamValidator().validate(response, shape)
    problems = [report.generate_report()] if report.has_errors() else []
    return problems + list(find_violations(shape, response))


def check_arguments(operation_name: str, arguments: Any, generated: str, path: str) -> None:
    """Check a step's unresolved Arguments: literals fully, expressions not at all, ``generated`` may be missing."""
    shape = operation(operation_name).input_shape
    _raise_first(find_violations(shape, arguments, path, is_open=is_expression, optional=frozenset({generated})))


def is_expression(value: Any) -> bool:
    """Whether a value of a pipeline definition is to be resolved when the execution gets there."""
    return (
        isinstance(value, dict) and len(value) == 1 and (next(iter(value)) == "Get" or next(iter(value))[:4] == "Std:")
    )


def find_violations(
    shape: Shape,
    value: Any,
    path: str = "",
    *,
    is_open: Callable[[Any], bool] = lambda _: False,
    optional: frozenset[str] = frozenset(),
) -> Iterator[str]:
    """Yield what breaks the shape: unknown and missing members, kinds, enums, patterns, lengths and ranges."""
    if is_open(value):
        return
    if shape.type_name == "structure":
        yield from _in_structure(shape, value, path, is_open, optional)
    elif shape.type_name == "list":
        yield from _in_list(shape, value, path, is_open)
    elif shape.type_name == "map":
        yield from _in_map(shape, value, path, is_open)
    else:
        yield from _in_scalar(shape, value, path)


def _in_structure(
    shape: Any, value: Any, path: str, is_open: Callable[[Any], bool], optional: frozenset[str]
) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _violation(path, value, "Member must be a structure")
        return
    for name in shape.required_members:
        if name not in value and name not in optional:
            yield _violation(_join(path, name), None, "Member must not be null")
    for name, item in value.items():
        if name not in shape.members:
            yield f"Unknown member '{_join(path, name)}'; known here: {', '.join(shape.members)}"
        else:
            yield from find_violations(shape.members[name], item, _join(path, name), is_open=is_open)


def _in_list(shape: Any, value: Any, path: str, is_open: Callable[[Any], bool]) -> Iterator[str]:
    if not isinstance(value, (list, tuple)):
        yield _violation(path, value, "Member must be a list")
        return
    yield from _length(shape, value, path)
    for index, item in enumerate(value):
        yield from find_violations(shape.member, item, f"{path}.{index + 1}.member", is_open=is_open)


def _in_map(shape: Any, value: Any, path: str, is_open: Callable[[Any], bool]) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _violation(path, value, "Member must be a map")
        return
    yield from _length(shape, value, path)
    for key, item in value.items():
        yield from find_violations(shape.key, key, path)
        yield from find_violations(shape.value, item, f"{path}.{key}", is_open=is_open)


def _in_scalar(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape.type_name == "string":
        if not isinstance(value, str):
            yield _violation(path, value, "Member must be a string")
            return
        yield from _length(shape, value, path)
        enum = getattr(shape, "enum", None)
        if enum and value not in enum:
            yield _violation(path, value, f"Member must satisfy enum value set: [{', '.join(enum)}]")
        pattern = shape.metadata.get("pattern")
        if pattern and shape.name not in _NO_PATTERN and not compile_pattern(pattern).fullmatch(value):
            yield _violation(path, value, f"Member must satisfy regular expression pattern: {pattern}")
    elif shape.type_name in ("integer", "long", "float", "double"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield _violation(path, value, "Member must be a number")
            return
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        if low is not None and value < low:
            yield _violation(path, value, f"Member must have value greater than or equal to {low}")
        if high is not None and value > high:
            yield _violation(path, value, f"Member must have value less than or equal to {high}")
    elif shape.type_name == "boolean" and not isinstance(value, bool):
        yield _violation(path, value, "Member must be a boolean")


def _length(shape: Any, value: Any, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        yield _violation(path, value, f"Member must have length greater than or equal to {low}")
    if high is not None and len(value) > high:
        yield _violation(path, value, f"Member must have length less than or equal to {high}")


def _raise_first(violations: Iterator[str]) -> None:
    found = list(violations)
    if found:
        count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected: "
        raise ServiceError("ValidationException", count + "; ".join(found[:5]))


def _violation(path: str, value: Any, rule: str) -> str:
    shown = "null" if value is None else repr(value if not isinstance(value, str) else value[:80])
    return f"Value {shown} at '{path}' failed to satisfy constraint: {rule}"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""Compile a pattern of the model, which is Java's: ``\p{L}`` and ``\p{Alnum}`` are spelled out for Python."""
    text = _COUNTED_ANCHOR.sub("", pattern).replace(_SURROGATES, r"\U00010000-\U0010FFFF")
    return re.compile(_CATEGORY.sub(lambda match: _characters(match[1]), text))


@lru_cache(maxsize=16)
def _characters(category: str) -> str:
    if category == "Alnum":
        return "0-9A-Za-z"
    ranges: list[list[int]] = []
    for code in range(0x20000):  # planes 0 and 1
        if unicodedata.category(chr(code))[0] == category:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)
