"""The expression language of pipeline definitions: paths, references, and their check against Describe shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.shapes import is_expression, operation

_GET = re.compile(r"(Parameters|Execution|Steps)\.([A-Za-z0-9_\-]+)(.*)", re.DOTALL)
_TOKEN = re.compile(r"\.?([A-Za-z0-9_\-]+)|\[(\d+)\]|\[(['\"])(.*?)\3\]")

EXECUTION_VARIABLES = frozenset(
    {
        "StartDateTime",
        "CurrentDateTime",
        "PipelineName",
        "PipelineArn",
        "PipelineExecutionId",
        "PipelineExecutionArn",
        "TrainingJobName",
        "ProcessingJobName",
    }
)
DESCRIBED_BY = {
    "Processing": "DescribeProcessingJob",
    "Training": "DescribeTrainingJob",
    "RegisterModel": "DescribeModelPackage",
    "Model": "DescribeModel",
}
# Lists of the Describe answers that a definition addresses by name.
_NAMES = ("OutputName", "InputName", "ChannelName", "MetricName", "VariantName", "ContainerHostname")


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed ``Get``: ``scope`` Parameters, Execution or Steps, ``name`` in it, ``path`` behind the name."""

    scope: str
    name: str
    path: tuple[str | int, ...]


def parse_get(text: Any) -> Reference:
    """Parse the operand of Get. Raises ValueError with a clear line."""
    match = _GET.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"cannot read the reference {text!r}")
    return Reference(match[1], match[2], parse_path(match[3]))


def parse_path(text: str) -> tuple[str | int, ...]:
    """Parse ``.a.b['key'][0]`` (a leading ``$`` is allowed). Raises ValueError."""
    tokens: list[str | int] = []
    position = 1 if text.startswith("$") else 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"cannot read the path {text!r}")
        tokens.append(int(match[2]) if match[2] is not None else match[1] or match[4])
        position = match.end()
    return tuple(tokens)


def walk(value: Any, path: tuple[str | int, ...], shown: str) -> Any:
    """Follow a path into a document; a list answers to an index and to the name of its items. Raises ValueError."""
    for token in path:
        if isinstance(value, dict) and str(token) in value:
            value = value[str(token)]
        elif isinstance(value, list) and isinstance(token, int) and token < len(value):
            value = value[token]
        elif isinstance(value, list) and isinstance(token, str) and _named(value, token) is not None:
            value = _named(value, token)
        else:
            raise ValueError(f"{shown} has no {token!r}")
    return value


def _named(items: list[Any], name: str) -> Any:
    return next((i for i in items if isinstance(i, dict) and any(i.get(key) == name for key in _NAMES)), None)


def check_property(step_type: str, path: tuple[str | int, ...]) -> None:
    """Check a step property against the Describe shape. Raises ValueError when there is no such property."""
    shape: Any = operation(DESCRIBED_BY[step_type]).output_shape
    for token in path:
        if shape.type_name == "structure" and token in shape.members:
            shape = shape.members[token]
        elif shape.type_name == "map":
            shape = shape.value
        elif shape.type_name == "list":
            shape = shape.member
        else:
            raise ValueError(f"{DESCRIBED_BY[step_type]} has no property {'.'.join(map(str, path))}")


def references(value: Any) -> Iterator[Reference]:
    """Every Get inside a value. Raises ValueError for a malformed expression or an unknown function."""
    if is_expression(value):
        name, operand = next(iter(value.items()))
        if name == "Get":
            yield parse_get(operand)
        elif name == "Std:Join":
            _check_members(name, operand, {"On", "Values"}, {"Values"})
            yield from references(operand["Values"])
        elif name == "Std:JsonGet":
            _check_members(name, operand, {"PropertyFile", "S3Uri", "Path"}, {"Path"})
            if ("PropertyFile" in operand) == ("S3Uri" in operand):
                raise ValueError("Std:JsonGet needs either PropertyFile or S3Uri")
            parse_path(operand["Path"])
            yield from references(operand.get("PropertyFile", operand.get("S3Uri")))
        else:
            raise ValueError(f"the function {name} is not supported")
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def _check_members(name: str, operand: Any, known: set[str], required: set[str]) -> None:
    if not isinstance(operand, dict) or not required <= set(operand) <= known:
        raise ValueError(f"{name} takes {', '.join(sorted(known))}")
