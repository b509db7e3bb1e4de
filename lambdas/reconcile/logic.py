"""How executions ended, and a sweep for what events did not bring."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ahiflow import events
from ahiflow.errors import InvalidRequestError, ServiceUnavailableError
from ahiflow.spine.executions import execution_id
from ahiflow.spine.sweep import Sweep

_EXECUTION_CHANGED: Final = "SageMaker Model Building Pipeline Execution Status Change"
_SCHEDULED: Final = "Scheduled Event"


def reconcile(event: Mapping[str, Any], sweep: Sweep) -> str:
    """Note the end of the event's execution, or sweep; returns an execution id or "sweep".

    The schedule's sweep looks back sweep.WINDOW; one asked for by REBUILD_LEDGER looks at everything.

    A sweep does all that it can and then raises ServiceUnavailableError if something could not be done: the event comes
    again, and a lasting problem ends in the dead-letter queue, where it is seen.
    """
    about = events.parse(events.Envelope, event)
    if about.detail_type == _EXECUTION_CHANGED:
        changed = events.parse(events.Event[events.PipelineExecutionStatusChange], event).detail
        sweep.noter.note(changed.pipeline_execution_arn)
        return execution_id(changed.pipeline_execution_arn)
    rebuild = about.detail_type == events.REBUILD_LEDGER and about.source == events.OUR_SOURCE
    if rebuild or about.detail_type == _SCHEDULED:
        problems = sweep.run(everything=rebuild).problems
        if problems:
            raise ServiceUnavailableError(f"a sweep met {len(problems)} problems, first: {problems[0]}")
        return "sweep"
    raise InvalidRequestError("an event that reconcile does not handle")
