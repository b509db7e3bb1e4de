"""A log group that keeps its logs for the configured number of days."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from config import StageConfig


def log_group(scope: Construct, id_: str, *, config: StageConfig, name: str | None = None) -> logs.LogGroup:
    """Make a log group; ``log_retention_days`` must be one of the values that CloudWatch Logs takes."""
    group = logs.LogGroup(
        scope,
        id_,
        log_group_name=name,
        removal_policy=RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY,
    )
    resource = group.node.default_child
    assert isinstance(resource, logs.CfnLogGroup)
    resource.retention_in_days = config.log_retention_days
    return group
