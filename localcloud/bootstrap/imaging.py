"""The HealthImaging data store."""

from __future__ import annotations

import time
from typing import Any

from ahiflow.errors import ConfigurationError, WorkFailedError
from localcloud.bootstrap.plan import Plan

_DEADLINE_SECONDS = 60.0
_PAUSE_SECONDS = 0.1


def ensure_datastore(imaging: Any, plan: Plan) -> str:
    """Find the configured data store, or one named after the prefix, or make it; waits until it is ACTIVE.

    Gives its id. Raises WorkFailedError when it does not become ACTIVE, ConfigurationError when the configured one
    does not exist.
    """
    datastore_id = plan.config.datastore_id or _find(imaging, plan.config.resource_prefix)
    if not datastore_id:
        datastore_id = str(imaging.create_datastore(datastoreName=plan.config.resource_prefix)["datastoreId"])
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        status = _status(imaging, datastore_id)
        if status == "ACTIVE":
            return datastore_id
        if status != "CREATING":
            raise WorkFailedError(f"data store {datastore_id} is {status}")
        time.sleep(_PAUSE_SECONDS)
    raise WorkFailedError(f"data store {datastore_id} did not become ACTIVE in {_DEADLINE_SECONDS:.0f} s")


def _find(imaging: Any, name: str) -> str:
    for page in imaging.get_paginator("list_datastores").paginate():
        for datastore in page["datastoreSummaries"]:
            if datastore["datastoreName"] == name and datastore["datastoreStatus"] in ("ACTIVE", "CREATING"):
                return str(datastore["datastoreId"])
    return ""


def _status(imaging: Any, datastore_id: str) -> str:
    try:
        answer = imaging.get_datastore(datastoreId=datastore_id)
    except imaging.exceptions.ResourceNotFoundException as error:
        raise ConfigurationError(f"there is no data store {datastore_id}") from error
    return str(answer["datastoreProperties"]["datastoreStatus"])
