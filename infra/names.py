"""Names of what the stacks deploy (:mod:`ahiflow.resource_names`), as templates.

``{partition}`` and ``{account}`` are the deployer's; :func:`fill` puts in tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Aws

from ahiflow.resource_names import ResourceNames
from config import StageConfig, resource_names


def fill(template: str) -> str:
    """Put CloudFormation's pseudo parameters into a template."""
    return template.replace("{partition}", Aws.PARTITION).replace("{account}", Aws.ACCOUNT_ID)


def fill_all(templates: Mapping[str, str]) -> dict[str, str]:
    """:func:`fill` for every value."""
    return {name: fill(template) for name, template in templates.items()}


def names_of(config: StageConfig) -> ResourceNames:
    """Names and ARN templates that follow from the configuration."""
    return resource_names(config, account_id="{account}", partition="{partition}")
