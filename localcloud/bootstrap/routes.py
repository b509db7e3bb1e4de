"""From :data:`ahiflow.routes.ROUTES` to rules, queues with dead-letter queues, and event source mappings."""

from __future__ import annotations

import json
from typing import Any

from ahiflow.placeholders import fill
from ahiflow.routes import FUNCTIONS, ROUTES
from localcloud.bootstrap.functions import TIMEOUT_SECONDS
from localcloud.bootstrap.plan import Plan

MAXIMUM_RECEIVES = 5
_BATCH_SIZE = 10
_RETENTION_SECONDS = 14 * 24 * 3600  # SQS's maximum: a dead letter waits for a person


def ensure_queues(sqs: Any, plan: Plan) -> None:
    """Make one queue per function, ``<prefix>-<function>``, and its dead-letter queue ``<queue>-dlq``."""
    names = plan.names
    for function in FUNCTIONS:
        dead_letters = names.dead_letter_queue(function)
        _ensure_queue(sqs, dead_letters, {"MessageRetentionPeriod": str(_RETENTION_SECONDS)})
        redrive = {"deadLetterTargetArn": names.queue_arn(dead_letters), "maxReceiveCount": MAXIMUM_RECEIVES}
        attributes = {
            "VisibilityTimeout": str(TIMEOUT_SECONDS[function]),
            "MessageRetentionPeriod": str(_RETENTION_SECONDS),
            "RedrivePolicy": json.dumps(redrive),
        }
        _ensure_queue(sqs, names.unit(function), attributes)


def ensure_rules(events: Any, plan: Plan, datastore_id: str) -> None:
    """Make one rule per route, named after it, that sends whole events to the function's queue."""
    names = plan.names
    values = names.route_placeholders(datastore_id)
    for route in ROUTES:
        name = names.rule(route.name)
        if route.pattern is not None:
            events.put_rule(Name=name, EventPattern=json.dumps(fill(route.pattern, values)), Description=route.why)
        else:
            events.put_rule(Name=name, ScheduleExpression=route.schedule, Description=route.why)
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": names.queue_arn(names.unit(route.function))}])


def ensure_mappings(client: Any, plan: Plan) -> None:
    """Let each queue invoke its function, which reports the messages of a batch that failed."""
    mappings = client.get_paginator("list_event_source_mappings")
    for function in FUNCTIONS:
        arn = plan.names.queue_arn(plan.names.unit(function))
        if any(page["EventSourceMappings"] for page in mappings.paginate(EventSourceArn=arn)):
            continue
        client.create_event_source_mapping(
            EventSourceArn=arn,
            FunctionName=plan.names.unit(function),
            BatchSize=_BATCH_SIZE,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )


def _ensure_queue(sqs: Any, name: str, attributes: dict[str, str]) -> None:
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist:
        sqs.create_queue(QueueName=name, Attributes=attributes)
        return
    sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
