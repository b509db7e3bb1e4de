"""Roles from named actions on named resources; a wildcard only with its reason, which cdk-nag's report keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from aws_cdk import aws_iam as iam
from constructs import IConstruct

from infra.names import fill


@dataclass(frozen=True, slots=True)
class Permission:
    """Actions on resources (ARN templates of :mod:`infra.names`, or tokens without a wildcard).

    ``why`` is required when a resource holds a ``*``.
    """

    actions: Sequence[str]
    resources: Sequence[str]
    why: str = ""
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def grant(role: iam.Role, permissions: Sequence[Permission]) -> None:
    """Add permissions to a role. Raises ValueError for a wildcard without a reason."""
    for permission in permissions:
        role.add_to_policy(
            iam.PolicyStatement(
                actions=list(permission.actions),
                resources=[fill(resource) for resource in permission.resources],
                conditions=dict(permission.conditions) or None,
            )
        )
        for resource in permission.resources:
            if "*" in resource:
                if not permission.why:
                    raise ValueError(f"a wildcard without a reason: {resource}")
                seen = _as_nag_sees(Stack.of(role).resolve(fill(resource)))
                acknowledge(role, f"AwsSolutions-IAM5[Resource::{seen}]", permission.why)


def acknowledge(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept one finding of cdk-nag on a construct and what is below it, with the reason."""
    Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def _as_nag_sees(resolved: Any) -> str:
    """Text form of a resolved value, as cdk-nag writes it into the name of a finding."""
    if isinstance(resolved, str):
        return resolved
    ((function, argument),) = resolved.items()
    if function == "Fn::Join":
        return str(argument[0]).join(_as_nag_sees(part) for part in argument[1])
    if function == "Ref":
        return f"<{argument}>"
    if function == "Fn::ImportValue":
        return str(argument)
    raise ValueError(f"cannot name a resource made with {function}")
