"""Conditions of a pipeline definition: their form, and their truth. A list of conditions is a conjunction."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from localcloud.sagemaker.errors import StepFailedError

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}
_FORMS = {
    "Equals": {"LeftValue", "RightValue"},
    **{name: {"LeftValue", "RightValue"} for name in _ORDER},
    "In": {"QueryValue", "Values"},
    "Not": {"Condition"},
    "Or": {"Conditions"},
}


def check_condition(condition: Any) -> None:
    """Raise ValueError when a condition has not the form of its type."""
    kind = condition.get("Type") if isinstance(condition, dict) else None
    if kind not in _FORMS:
        raise ValueError(f"the condition type {kind!r} is not one of {', '.join(_FORMS)}")
    if set(condition) - {"Type"} != _FORMS[kind]:
        raise ValueError(f"a condition {kind} takes {', '.join(sorted(_FORMS[kind]))}")
    if kind == "Not":
        check_condition(condition["Condition"])
    elif kind == "Or":
        _check_list(condition["Conditions"])
    elif kind == "In" and not isinstance(condition["Values"], list):
        raise ValueError("a condition In takes a list of Values")


def _check_list(conditions: Any) -> None:
    if not isinstance(conditions, list) or not conditions:
        raise ValueError("conditions must be a list that is not empty")
    for condition in conditions:
        check_condition(condition)


def check_conditions(conditions: Any) -> None:
    """Raise ValueError when the Conditions of a step are not well formed."""
    _check_list(conditions)


def are_met(conditions: list[dict[str, Any]]) -> bool:
    """Whether all resolved conditions hold. Raises StepFailedError when two values cannot be compared."""
    return all(_is_met(condition) for condition in conditions)


def _is_met(condition: dict[str, Any]) -> bool:
    kind = condition["Type"]
    if kind == "Not":
        return not _is_met(condition["Condition"])
    if kind == "Or":
        return any(_is_met(item) for item in condition["Conditions"])
    if kind == "In":
        return any(_equal(condition["QueryValue"], item) for item in condition["Values"])
    left, right = condition["LeftValue"], condition["RightValue"]
    if kind == "Equals":
        return _equal(left, right)
    if _sort(left) != _sort(right) or _sort(left) == "boolean":
        raise StepFailedError(f"ClientError: Cannot compare {_shown(left)} and {_shown(right)} by {kind}")
    return _ORDER[kind](left, right)


def _equal(left: Any, right: Any) -> bool:
    if _sort(left) != _sort(right):
        raise StepFailedError(f"ClientError: Cannot compare {_shown(left)} and {_shown(right)} by Equals")
    return bool(left == right)


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "other"


def _shown(value: Any) -> str:
    return f"the {_sort(value)} {value!r}"
