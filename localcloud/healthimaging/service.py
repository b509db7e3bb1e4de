"""HealthImaging (``medical-imaging``) as a :class:`localcloud.service.LocalService`."""

from __future__ import annotations

import logging
import sqlite3
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pydicom import config as pydicom_config

from localcloud.healthimaging.context import Context
from localcloud.healthimaging.errors import InternalServerError, NotFoundError, ServiceError, ValidationError
from localcloud.healthimaging.events import SOURCE, Arns, Events, EventTable, FaultyBus
from localcloud.healthimaging.faults import Faults
from localcloud.healthimaging.importing.job import ImportJobs
from localcloud.healthimaging.importing.lifecycle import TASK as TASK_IMPORT
from localcloud.healthimaging.operations import datastores, image_sets, jobs, search, tags
from localcloud.healthimaging.state.database import Database
from localcloud.healthimaging.state.tasks import TaskRunner
from localcloud.healthimaging.switches import Switches
from localcloud.healthimaging.wire import requests, responses
from localcloud.healthimaging.wire.routing import SERVICE, Router, load_service_model
from localcloud.outbox import Outbox
from localcloud.service import Backplane, Request, Response

_LOGGER = logging.getLogger("localcloud.healthimaging")

Operation = Callable[[Context, dict[str, Any]], dict[str, Any]]

# What is not here is refused by name: CopyImageSet, UpdateImageSetMetadata (and all of DICOMweb, which has no model).
OPERATIONS: dict[str, Operation] = {
    "CreateDatastore": datastores.create,
    "GetDatastore": datastores.get,
    "ListDatastores": datastores.list_,
    "DeleteDatastore": datastores.delete,
    "StartDICOMImportJob": jobs.start,
    "GetDICOMImportJob": jobs.get,
    "ListDICOMImportJobs": jobs.list_,
    "GetImageSet": image_sets.get,
    "GetImageSetMetadata": image_sets.get_metadata,
    "GetImageFrame": image_sets.get_frame,
    "ListImageSetVersions": image_sets.list_versions,
    "DeleteImageSet": image_sets.delete,
    "SearchImageSets": search.search,
    "ListTagsForResource": tags.list_,
    "TagResource": tags.tag,
    "UntagResource": tags.untag,
}


class HealthImagingService:
    """The emulator. ``faults`` is open to tests and commands at any time."""

    signing_names: Sequence[str] = (SERVICE,)

    def __init__(self, backplane: Backplane, switches: Switches | None = None) -> None:
        switches = switches or Switches()
        self.faults = Faults()
        self._router = Router(load_service_model())
        database = Database(backplane.state / "healthimaging.sqlite3")
        arns = Arns(backplane)
        handlers: dict[str, Callable[[str], None]] = {}
        self._context = Context(
            backplane=backplane,
            switches=switches,
            faults=self.faults,
            database=database,
            arns=arns,
            events=Events(arns, switches),
            outbox=Outbox(EventTable(database), FaultyBus(backplane.emit, self.faults), SOURCE),
            tasks=TaskRunner(database, handlers, slow={TASK_IMPORT}),
        )
        self._imports = ImportJobs(self._context)
        handlers[TASK_IMPORT] = self._imports.run
        handlers[datastores.TASK_CREATED] = partial(datastores.on_created, self._context)
        handlers[datastores.TASK_DELETED] = partial(datastores.on_deleted, self._context)
        handlers[image_sets.TASK_DELETED] = partial(image_sets.on_deleted, self._context)

    def start(self) -> None:
        """Take up unfinished jobs, deletions and events.

        pydicom is told to read values as they are and to keep its remarks, which may quote them, to itself: what is
        wrong with a file stands in the job's ndjson.
        """
        pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
        logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
        warnings.filterwarnings("ignore", module=r"pydicom\.")
        self._imports.tidy()
        self._context.tasks.start()
        self._context.outbox.start()

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        match = self._router.match(request.method, request.path)
        if match is None:
            return responses.of_error(
                NotFoundError(f"HealthImaging has no operation at {request.method} here (DICOMweb is not built).")
            )
        name = match.operation.name
        try:
            self.faults.raise_for(name)
            params = requests.parse(match, request.query, request.body)
            if name not in OPERATIONS:
                raise ValidationError(f"{name} is not supported by the local HealthImaging.")
            return responses.of_result(match.operation, OPERATIONS[name](self._context, params))
        except ServiceError as error:
            return responses.of_error(error)
        except (sqlite3.Error, OSError) as error:
            _LOGGER.error("%s failed: %s", name, type(error).__name__)
            return responses.of_error(InternalServerError("The local HealthImaging failed; see its log."))

    def close(self) -> None:
        """Stop; unfinished jobs and unsent events stay on disk."""
        self._imports.stop()
        self._context.tasks.close()
        self._imports.close()
        self._context.outbox.close()
        self._context.database.close()
