"""A function with the queue before it: EventBridge rule -> SQS queue (and its dead-letter queue) -> Lambda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ahiflow.placeholders import fill
from ahiflow.routes import Route
from config import StageConfig
from infra.constructs.log_group import log_group
from infra.constructs.permissions import Permission, acknowledge, grant
from infra.names import names_of

MAXIMUM_RECEIVES: Final = 5
MEMORY_MIB: Final = 512
# Seconds that one invocation may take. reconcile may have to rebuild a ledger.
TIMEOUT_SECONDS: Final[Mapping[str, int]] = {"reconcile": 120}
USUAL_TIMEOUT_SECONDS: Final = 30
# StartDICOMImportJob takes one call per second (HealthImaging quotas): few at a time, the rest waits in the queue.
MAXIMUM_CONCURRENCY: Final = 2
# Variables beside the function's settings; the tests know them.
POWERTOOLS_VARIABLES: Final = ("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL")


class QueuedFunction(Construct):
    """``function``, ``queue`` and ``dead_letters``; :meth:`add_route` sends events to the queue."""

    def __init__(
        self,
        scope: Construct,
        function: str,
        *,
        config: StageConfig,
        settings: Mapping[str, str],
        permissions: Sequence[Permission],
        code: Path,
    ) -> None:
        super().__init__(scope, function.title().replace("_", ""))
        self._config = config
        self._names = names_of(config)
        seconds = TIMEOUT_SECONDS.get(function, USUAL_TIMEOUT_SECONDS)
        self.dead_letters = self._queue("DeadLetters", self._names.dead_letter_queue(function))
        self.queue = self._queue(
            "Queue",
            self._names.unit(function),
            visibility_timeout=Duration.seconds(6 * seconds),  # Lambda's advice: six times the function's time-out
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=MAXIMUM_RECEIVES, queue=self.dead_letters),
        )
        self.function = self._function(function, seconds, settings, permissions, code)
        self.function.add_event_source(
            event_sources.SqsEventSource(
                self.queue, batch_size=10, report_batch_item_failures=True, max_concurrency=MAXIMUM_CONCURRENCY
            )
        )

    def add_route(self, route: Route, values: Mapping[str, str]) -> events.Rule:
        """Send what matches the route to the queue; what EventBridge cannot deliver goes to the dead letters."""
        pattern = fill(route.pattern, values) if route.pattern is not None else None
        return events.Rule(
            self,
            route.name,
            rule_name=self._names.rule(route.name),
            description=route.why,
            schedule=events.Schedule.expression(route.schedule) if route.schedule is not None else None,
            event_pattern=events.EventPattern(
                source=pattern["source"], detail_type=pattern["detail-type"], detail=pattern["detail"]
            )
            if pattern is not None
            else None,
            targets=[targets.SqsQueue(self.queue, dead_letter_queue=self.dead_letters)],
        )

    def _queue(self, id_: str, name: str, **kwargs: Any) -> sqs.Queue:
        return sqs.Queue(
            self,
            id_,
            queue_name=name,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
            **kwargs,
        )

    def _function(
        self, function: str, seconds: int, settings: Mapping[str, str], permissions: Sequence[Permission], code: Path
    ) -> lambda_.Function:
        name = self._names.unit(function)
        group = log_group(self, "Logs", config=self._config, name=f"/aws/lambda/{name}")
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        group.grant_write(role)
        grant(role, permissions)
        made = lambda_.Function(
            self,
            "Function",
            function_name=name,
            description=f"ahiflow {function}",
            runtime=lambda_.Runtime.PYTHON_3_12,
            architecture=lambda_.Architecture.X86_64,
            handler=f"lambdas.{function}.handler.handler",
            code=lambda_.Code.from_asset(str(code)),
            role=role,
            memory_size=MEMORY_MIB,
            timeout=Duration.seconds(seconds),
            log_group=group,
            tracing=lambda_.Tracing.ACTIVE,
            environment={
                **settings,
                "POWERTOOLS_SERVICE_NAME": function,
                "POWERTOOLS_METRICS_NAMESPACE": "ahiflow",
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )
        acknowledge(role, "AwsSolutions-IAM5[Resource::*]", "X-Ray's PutTraceSegments has no resource")
        acknowledge(made, "AwsSolutions-L1", "the zips are built and tested for Python 3.12 (tools/stage_assets.py)")
        return made
