"""Reading CloudFormation templates in tests."""

from __future__ import annotations

from typing import Any


def resources(templates: dict[str, dict[str, Any]], type_: str) -> dict[str, dict[str, Any]]:
    """Every resource of a type, by stack and logical id."""
    return {
        f"{stack}/{logical_id}": resource
        for stack, template in templates.items()
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == type_
    }


def text(value: Any) -> str:
    """A value with CloudFormation's functions written as ``<...>``."""
    if isinstance(value, dict) and len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::Join":
            return str(argument[0].join(text(part) for part in argument[1]))
        if function == "Ref":
            return f"<{argument}>"
        if function == "Fn::GetAtt":
            return f"<{'.'.join(argument)}>"
        if function == "Fn::ImportValue":
            return f"<{text(argument)}>"
        if function == "Fn::Sub":
            return str(argument)
    return value if isinstance(value, str) else repr(value)


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
