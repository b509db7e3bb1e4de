"""Which import job an event is about, and what became of its instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ahiflow import events
from ahiflow.errors import InvalidRequestError
from ahiflow.spine.imports import ImportRecorder


def record_import(event: Mapping[str, Any], recorder: ImportRecorder) -> str:
    """Record the import job that ended; returns the batch id, or the job id if the job is not ours.

    Raises TransientError when the event should come again, as while the job's output is not there yet.
    """
    ended = events.parse(events.Event[events.ImportJobEnded], event).detail
    if ended.datastore_id != recorder.datastore_id:
        raise InvalidRequestError("an import job of another data store")
    return recorder.record(ended.import_job_id).batch_id or ended.import_job_id
