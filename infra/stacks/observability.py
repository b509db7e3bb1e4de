"""Alarms that a person must see, and a dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from constructs import Construct

from config import StageConfig
from infra.constructs.queued_function import QueuedFunction


class ObservabilityStack(Stack):
    """One alarm for each dead-letter queue: a message there is work that was not done."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        functions: Mapping[str, QueuedFunction],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        topic = sns.Topic(self, "Alarms", topic_name=f"{config.resource_prefix}-alarms", enforce_ssl=True)
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=config.resource_prefix)
        for name, queued in functions.items():
            dead = queued.dead_letters.metric_approximate_number_of_messages_visible(
                period=Duration.minutes(1), statistic="Maximum"
            )
            alarm = cloudwatch.Alarm(
                self,
                f"{name}-dead-letters",
                alarm_name=f"{queued.dead_letters.queue_name}",
                alarm_description=f"{name} could not handle a message: `ahiflow replay --dead-letters`",
                metric=dead,
                threshold=1,
                evaluation_periods=1,
                comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
            alarm.add_alarm_action(actions.SnsAction(topic))
            dashboard.add_widgets(
                cloudwatch.GraphWidget(
                    title=name,
                    left=[queued.function.metric_invocations(), queued.function.metric_errors()],
                    right=[queued.queue.metric_approximate_age_of_oldest_message(), dead],
                )
            )
        CfnOutput(self, "AlarmTopicArn", value=topic.topic_arn)
