"""How every function takes its events: EventBridge -> SQS -> here, one by one, with partial failures.

A record whose work raises is reported as failed and nothing else: SQS brings it again, and after the queue's last try
moves it to the dead-letter queue, from where `ahiflow replay --dead-letters` takes it back.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from ahiflow import telemetry
from ahiflow.errors import AhiflowError, InvalidRequestError
from ahiflow.events import Envelope, parse

# Takes one EventBridge event; returns an id of ours or of a service that says which work it was, never a UID.
Work = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class _Telemetry:
    logger: Logger
    metrics: Metrics
    tracer: Tracer


def handle_events(
    service: str, compose: Callable[[], Work], event: dict[str, Any], context: LambdaContext
) -> dict[str, Any]:
    """Do the work of every event in an SQS batch; returns the partial batch response that names those to come again.

    ``compose`` builds the work from the environment, once per process. An event that does not come from SQS
    (`aws lambda invoke` by a person) is one EventBridge event; what its work raises is raised.
    """
    tools = _telemetry(service)
    work = compose()

    @tools.tracer.capture_lambda_handler(capture_response=False, capture_error=False)
    @tools.metrics.log_metrics
    @tools.logger.inject_lambda_context(clear_state=True)
    def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        if "Records" not in event:
            _observed(tools, work, event)
            return {"batchItemFailures": []}
        return dict(
            process_partial_response(
                event=event,
                record_handler=lambda record: _record(tools, work, record),
                processor=BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False),
                context=context,
            )
        )

    answer: dict[str, Any] = handle(event, context)
    return answer


def _record(tools: _Telemetry, work: Work, record: SQSRecord) -> None:
    try:
        event = record.json_body
    except ValueError as error:
        tools.metrics.add_metric(telemetry.EVENTS_REFUSED, telemetry.COUNT, 1)
        tools.logger.error("event refused", extra={"message_id": record.message_id, "reason": "not JSON"})
        raise InvalidRequestError("an SQS message that is not JSON") from error
    _observed(tools, work, event)


def _observed(tools: _Telemetry, work: Work, event: Mapping[str, Any]) -> None:
    try:
        about = parse(Envelope, event)
        tools.logger.append_keys(event_id=about.id, detail_type=about.detail_type)
        tools.logger.set_correlation_id(work(event))
        tools.metrics.add_metric(telemetry.EVENTS_HANDLED, telemetry.COUNT, 1)
        tools.logger.info("event handled")
    except AhiflowError as error:
        name = telemetry.EVENTS_TO_COME_AGAIN if error.retry else telemetry.EVENTS_REFUSED
        tools.metrics.add_metric(name, telemetry.COUNT, 1)
        said = "event comes again" if error.retry else "event refused"
        tools.logger.warning(said, extra={"error": type(error).__name__, "reason": str(error)})
        raise
    except Exception as error:  # a defect: its place is logged and its text is not, which may quote anything
        tools.metrics.add_metric(telemetry.EVENTS_REFUSED, telemetry.COUNT, 1)
        tools.logger.error("event failed", extra={"error": type(error).__name__, "at": _place(error)})
        raise


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


@functools.cache
def _telemetry(service: str) -> _Telemetry:
    return _Telemetry(telemetry.logger(service), telemetry.metrics(service), telemetry.tracer(service))
