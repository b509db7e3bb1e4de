"""Which image set version an event is about, and its execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ahiflow import events
from ahiflow.errors import InvalidRequestError
from ahiflow.spine.executions import ExecutionStarter


def start_pipeline(event: Mapping[str, Any], starter: ExecutionStarter) -> str:
    """Start the execution of the image set version that is new, or to be replayed; returns the image set id.

    Raises TransientError when the event should come again. A PermanentError is in the ledger, and its event goes to the
    dead-letter queue.
    """
    about = events.parse(events.Envelope, event)
    if about.detail_type == events.REPLAY_IMAGE_SET_VERSION and about.source == events.OUR_SOURCE:
        replay = events.parse(events.Event[events.ImageSetVersionReplay], event).detail
        return starter.start(replay.image_set_id, replay.image_set_version_id, None, replay.attempt).image_set_id
    new = events.parse(events.Event[events.ImageSetVersion], event).detail
    if new.datastore_id != starter.datastore_id:
        raise InvalidRequestError("an image set of another data store")
    return starter.start(new.image_set_id, new.image_set_version_id, new.is_primary).image_set_id
