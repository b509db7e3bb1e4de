"""Which batch an event is about, and its import job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ahiflow import events
from ahiflow.errors import InvalidRequestError
from ahiflow.spine.batches import BatchImporter, batch_id_of_manifest


def start_import(event: Mapping[str, Any], importer: BatchImporter) -> str:
    """Start the import of the batch whose manifest was created, or that is to be replayed; returns the batch id.

    Raises TransientError when the event should come again. A PermanentError (no batch manifest, or refused by
    HealthImaging) is in the ledger, and its event goes to the dead-letter queue.
    """
    about = events.parse(events.Envelope, event)
    if about.detail_type == events.REPLAY_BATCH and about.source == events.OUR_SOURCE:
        replay = events.parse(events.Event[events.BatchReplay], event).detail
        return importer.start(replay.batch_id, replay.attempt).batch_id
    created = events.parse(events.Event[events.ObjectCreated], event).detail
    if created.bucket.name != importer.ingest_bucket_name:
        raise InvalidRequestError("an object in another bucket than the ingest bucket")
    return importer.start(batch_id_of_manifest(created.object.key)).batch_id
