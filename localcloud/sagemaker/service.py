"""The SageMaker service of the local cloud: one request in, one answer in SageMaker's wire form out."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import OperationNotFoundError

from localcloud.outbox import Outbox
from localcloud.sagemaker import process, runtime, shapes
from localcloud.sagemaker.arns import Arns
from localcloud.sagemaker.context import Context, Limits, Operation
from localcloud.sagemaker.endpointconfigs import EndpointConfigs
from localcloud.sagemaker.endpoints import Endpoints
from localcloud.sagemaker.errors import ServiceError, unknown_operation
from localcloud.sagemaker.events import SOURCE
from localcloud.sagemaker.executions import Executions
from localcloud.sagemaker.faults import Faults
from localcloud.sagemaker.images import Images
from localcloud.sagemaker.jobs import Jobs
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.pipelines import Pipelines
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.runtime import Runtime
from localcloud.sagemaker.store import Store
from localcloud.sagemaker.tags import Tags
from localcloud.service import Backplane, Request, Response

log = logging.getLogger(__name__)

_TARGET = "SageMaker."
_JSON = "application/x-amz-json-1.1"
_CHECKOUT = Path(__file__).resolve().parents[2]


class SageMakerService:
    """Implements localcloud.service.LocalService. ``faults`` is the tests' switchboard."""

    signing_names: Sequence[str] = ("sagemaker",)

    def __init__(self, backplane: Backplane, *, images: Images | None = None, limits: Limits | None = None) -> None:
        self._backplane = backplane
        self._store = Store(backplane.state / "sagemaker.sqlite")
        self.faults = Faults()
        self._context = Context(
            backplane=backplane,
            store=self._store,
            arns=Arns(backplane.account_id, backplane.region),
            images=images or Images(_CHECKOUT),
            outbox=Outbox(self._store, backplane.emit, SOURCE),
            faults=self.faults,
            limits=limits or Limits(),
        )
        self._jobs = Jobs(self._context)
        registry = Registry(self._context)
        models = Models(self._context, registry)
        configs = EndpointConfigs(self._context, models)
        self._endpoints = Endpoints(self._context, configs, models)
        self._runtime = Runtime(self._context, self._endpoints)
        self._executions = Executions(self._context, self._jobs, registry, models)
        self._operations: dict[str, Operation] = {
            **self._jobs.operations(),
            **registry.operations(),
            **models.operations(),
            **configs.operations(),
            **self._endpoints.operations(),
            **Pipelines(self._context, self._executions).operations(),
            **Tags(self._context).operations(),
        }

    @property
    def operation_names(self) -> frozenset[str]:
        """Operations that are answered; every other one is refused by name."""
        return frozenset(self._operations)

    def start(self) -> None:
        """Kill what a dead process left running, then take up its work."""
        self._jobs.recover()
        self._endpoints.recover()
        killed = process.kill_strays_under(self._backplane.state)
        if killed:
            log.warning("processes of the last service killed", extra={"count": killed})
        self._context.outbox.start()
        self._jobs.start()
        self._executions.start()
        self._endpoints.start()

    def handle(self, request: Request) -> Response:
        """Answer one request of the JSON 1.1 API, or an invocation of sagemaker-runtime."""
        if runtime.is_invocation(request):
            return self._runtime.handle(request)
        try:
            return self._answer(request)
        except ServiceError as error:
            return _error(error)
        except (BotoCoreError, ClientError, OSError) as error:
            log.exception("request failed")
            return _error(ServiceError("InternalFailure", f"The local cloud failed: {error}", 500))

    def close(self) -> None:
        """Stop within seconds; what is unfinished is taken up by the next start."""
        self._executions.close()
        self._endpoints.close()
        self._jobs.close()
        self._context.outbox.close()
        self._store.close()

    def _answer(self, request: Request) -> Response:
        target = request.headers.get("x-amz-target", "")
        name = target.removeprefix(_TARGET)
        if not target.startswith(_TARGET) or name not in self._operations:
            raise unknown_operation(name or f"{request.method} {request.path}")
        self.faults.before_operation(name)
        body = _parse(request.body)
        try:
            shapes.check_request(name, body)
        except OperationNotFoundError as error:  # an older botocore than this service was written for
            raise unknown_operation(name) from error
        return _reply(200, self._operations[name](body))


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", "The request body is not JSON") from error
    if not isinstance(document, dict):
        raise ServiceError("SerializationException", "The request body is not a JSON object")
    return document


def _reply(status: int, body: dict[str, Any]) -> Response:
    headers = {"content-type": _JSON, "x-amzn-requestid": str(uuid.uuid4())}
    return Response(status, json.dumps(body).encode(), headers)


def _error(error: ServiceError) -> Response:
    return _reply(error.status, {"__type": error.code, "message": error.message})
