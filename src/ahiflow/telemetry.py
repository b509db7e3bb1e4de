"""Logs, metrics and traces of the functions and the receiver, through powertools.

No event, response or exception payload is captured: an event holds UIDs, and a response may hold anything.
"""

from __future__ import annotations

from typing import Final

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE: Final = "ahiflow"
COUNT: Final = MetricUnit.Count

# Names of metrics; alarms and dashboards use the same constants.
EVENTS_HANDLED: Final = "EventsHandled"
EVENTS_TO_COME_AGAIN: Final = "EventsToComeAgain"
EVENTS_REFUSED: Final = "EventsRefused"


def logger(service: str) -> Logger:
    """A logger that writes JSON lines. The correlation id is a batch, job or execution id of ours or of a service."""
    return Logger(service=service, log_uncaught_exceptions=False)


def metrics(service: str) -> Metrics:
    """Metrics in namespace ``ahiflow`` with the dimension ``service``."""
    return Metrics(namespace=NAMESPACE, service=service)


def tracer(service: str) -> Tracer:
    """A tracer that patches only botocore; it switches itself off outside Lambda."""
    return Tracer(service=service, patch_modules=("botocore",))
