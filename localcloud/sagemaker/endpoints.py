"""Endpoints: created, updated blue/green with rollback, started again after a restart, deleted."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker import events, process
from localcloud.sagemaker.context import Context, Operation, now
from localcloud.sagemaker.endpointconfigs import EndpointConfigs
from localcloud.sagemaker.errors import JobFailedError, JobInterruptedError, ServiceError, validation
from localcloud.sagemaker.hosting import ModelServer, endpoint_directory
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.paging import Listing, list_page
from localcloud.sagemaker.tags import drop_tags, put_tags

log = logging.getLogger(__name__)

_KIND = "Endpoint"
_BUSY = frozenset({"Creating", "Updating", "RollingBack", "Deleting"})
_SERVING = frozenset({"InService", "Updating", "RollingBack"})
_THREADS = 2
_RESTARTS = 3
_RESTART_PAUSE_SECONDS = 1.0
_SERVING_ERRORS = (JobFailedError, ServiceError, ClientError, BotoCoreError, OSError)


class Endpoints:
    """Records hold ``document`` (what Describe answers), ``pending`` (the configuration to come), ``process``."""

    def __init__(self, context: Context, configs: EndpointConfigs, models: Models) -> None:
        self._context = context
        self._store = context.store
        self._configs = configs
        self._models = models
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sagemaker-endpoints")
        self._closing = threading.Event()
        self._servers: dict[str, ModelServer] = {}
        self._restarting: set[str] = set()
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._started = False

    def operations(self) -> dict[str, Operation]:
        """The API."""
        return {
            "CreateEndpoint": self._create,
            "DescribeEndpoint": lambda request: dict(self._record(request["EndpointName"])["document"]),
            "ListEndpoints": self._list,
            "UpdateEndpoint": self._update,
            "DeleteEndpoint": self._delete,
        }

    def recover(self) -> None:
        """Kill the servers that the last process left behind."""
        for record in self._store.all(_KIND):
            if record["process"]:
                process.kill_stray(record["process"])

    def start(self) -> None:
        """Serve again what was in service, and go on with what was under way."""
        with self._store.transaction():
            self._started = True
            for record in self._store.all(_KIND):
                name, status = record["document"]["EndpointName"], record["document"]["EndpointStatus"]
                if status in _SERVING:
                    self.restart(name)
                self._go_on(name, status)

    def close(self) -> None:
        """End the servers; the endpoints stay what they are on disk."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for server in list(self._servers.values()):
            server.stop()

    def server(self, name: str) -> ModelServer | None:
        """The server to ask; None while it is being started (again). Raises ServiceError when there is no endpoint."""
        record = self._store.get(_KIND, name.lower())
        if record is None or record["document"]["EndpointStatus"] in ("Creating", "Failed", "Deleting"):
            raise ServiceError(
                "ValidationError", f"Endpoint {name} of account {self._context.arns.account_id} not found."
            )
        server = self._servers.get(name.lower())
        return server if server is not None and server.is_alive else None

    def restart(self, name: str) -> None:
        """Start the server of an endpoint again, unless that is under way already."""
        with self._lock:
            if name.lower() in self._restarting or not self._started or self._closing.is_set():
                return
            self._restarting.add(name.lower())
        self._submit(self._restart, name)

    def _is_served(self, name: str) -> bool:
        server = self._servers.get(name.lower())
        return server is not None and server.is_alive

    def _go_on(self, name: str, status: str) -> None:
        if not self._started:
            return
        if status in ("Creating", "Updating", "RollingBack"):
            self._submit(self._deploy, name)
        elif status == "Deleting":
            self._submit(self._remove, name)

    def _submit(self, do: Callable[[str], None], name: str) -> None:
        if not self._closing.is_set():
            self._pool.submit(self._in_turn, do, name).add_done_callback(lambda future: self._note_defect(name, future))

    def _in_turn(self, do: Callable[[str], None], name: str) -> None:
        """What happens to one endpoint happens one after the other; what is done reads the record as it then is."""
        with self._lock:
            turn = self._turns.setdefault(name.lower(), threading.Lock())
        with turn:
            do(name)

    def _note_defect(self, name: str, future: Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is None or self._closing.is_set():
            return
        log.error("an endpoint was failed by a defect of the local cloud", exc_info=error)
        reason = "InternalServerError: the local cloud failed, see its log"
        self._change(name, {"EndpointStatus": "Failed", "FailureReason": reason})

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name, config_name = request["EndpointName"], request["EndpointConfigName"]
        self._configs.config(config_name)
        arn = self._context.arns.of("endpoint", name)
        with self._store.transaction():
            if self._store.get(_KIND, name.lower()):
                raise validation(f'Cannot create already existing endpoint "{arn}".')
            document = {
                "EndpointName": name,
                "EndpointArn": arn,
                "EndpointConfigName": config_name,
                "EndpointStatus": "Creating",
                "CreationTime": now(),
                "LastModifiedTime": now(),
            }
            self._store.put(_KIND, name.lower(), {"document": document, "pending": config_name, "process": None})
            put_tags(self._store, arn, request.get("Tags", []))
            events.endpoint_changed(self._store, document)
        self._context.outbox.wake()
        self._go_on(name, "Creating")
        return {"EndpointArn": arn}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        self._configs.config(request["EndpointConfigName"])
        with self._store.transaction():
            record = self._record(name)
            arn, status = record["document"]["EndpointArn"], record["document"]["EndpointStatus"]
            if status in _BUSY:
                raise validation(f'Cannot update in-progress endpoint "{arn}".')
            if status != "InService":
                raise validation(f'Cannot update the endpoint "{arn}": it is {status}.')
            record["document"].pop("FailureReason", None)
            self._store.put(_KIND, name.lower(), record | {"pending": request["EndpointConfigName"]})
            self._change(name, {"EndpointStatus": "Updating"})
        self._go_on(name, "Updating")
        return {"EndpointArn": arn}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        with self._store.transaction():
            document = self._record(name)["document"]
            if document["EndpointStatus"] in _BUSY:
                raise validation(f'Cannot update in-progress endpoint "{document["EndpointArn"]}".')
            self._change(name, {"EndpointStatus": "Deleting"})
        self._go_on(name, "Deleting")
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        documents = [record["document"] for record in self._store.all(_KIND)]
        listing = Listing(name="EndpointName", status="EndpointStatus")
        page, token = list_page(request, documents, listing, lambda item: str(item["EndpointName"]))
        members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
        return {"Endpoints": [{key: item[key] for key in members} for item in page], **token}

    def _deploy(self, name: str) -> None:
        """Start the pending configuration's server; only when it is healthy does it replace the old one."""
        record = self._record(name)
        config_name = record["pending"]
        if record["document"]["EndpointStatus"] not in ("Creating", "Updating", "RollingBack"):
            return
        try:
            server, variant = self._serve(name, config_name)
        except JobInterruptedError:
            return
        except _SERVING_ERRORS as error:
            self._roll_back(name, str(error)[:1024])
            return
        old = self._servers.get(name.lower())
        self._servers[name.lower()] = server
        fields = {"EndpointStatus": "InService", "EndpointConfigName": config_name, "ProductionVariants": [variant]}
        self._change(name, fields, identity=server.identity)
        if old is not None:
            old.stop()

    def _roll_back(self, name: str, reason: str) -> None:
        status = self._record(name)["document"]["EndpointStatus"]
        if status == "Creating":
            self._change(name, {"EndpointStatus": "Failed", "FailureReason": reason})
            return
        self._change(name, {"EndpointStatus": "RollingBack", "FailureReason": reason})
        if self._servers.get(name.lower()) is None:
            self._change(name, {"EndpointStatus": "UpdateRollbackFailed"})
        else:
            self._change(name, {"EndpointStatus": "InService"})

    def _restart(self, name: str) -> None:
        record = self._store.get(_KIND, name.lower())
        try:
            if record is None or record["document"]["EndpointStatus"] not in _SERVING or self._is_served(name):
                return
            server = self._serve_again(name)
        except JobInterruptedError:
            return
        except _SERVING_ERRORS as error:
            self._change(name, {"EndpointStatus": "Failed", "FailureReason": str(error)[:1024]})
            return
        finally:
            with self._lock:
                self._restarting.discard(name.lower())
        old = self._servers.get(name.lower())
        self._servers[name.lower()] = server
        self._change(name, {}, identity=server.identity)
        if old is not None:
            old.stop()

    def _serve_again(self, name: str) -> ModelServer:
        """A new server of the configuration in service; what fails is tried again a few times."""
        for _ in range(_RESTARTS - 1):
            try:
                return self._serve(name, self._record(name)["document"]["EndpointConfigName"])[0]
            except _SERVING_ERRORS as error:
                log.warning("an endpoint did not start again", extra={"endpoint": name, "error": type(error).__name__})
                self._closing.wait(_RESTART_PAUSE_SECONDS)
        return self._serve(name, self._record(name)["document"]["EndpointConfigName"])[0]

    def _serve(self, name: str, config_name: str) -> tuple[ModelServer, dict[str, Any]]:
        """A healthy server of a configuration, and its ProductionVariantSummary. What fails is stopped again."""
        variant = self._configs.config(config_name)["ProductionVariants"][0]
        model = self._models.container(variant["ModelName"])
        generation = self._store.next_number(f"endpoint/{name.lower()}")
        server = ModelServer(self._context, name.lower(), generation, variant["VariantName"])
        limit = self._context.limits.endpoint_start
        healthy = False
        try:
            isolated = bool(self._models.model(variant["ModelName"])["EnableNetworkIsolation"])
            seconds = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", limit)
            server.start(model, seconds, self._closing, isolated=isolated)
            healthy = True
        finally:
            if not healthy:
                server.stop()
        count = variant.get("InitialInstanceCount", 1)
        image = {"SpecifiedImage": model["Image"], "ResolvedImage": model["Image"], "ResolutionTime": now()}
        return server, {
            "VariantName": variant["VariantName"],
            "DeployedImages": [image],
            "CurrentWeight": variant.get("InitialVariantWeight", 1.0),
            "DesiredWeight": variant.get("InitialVariantWeight", 1.0),
            "CurrentInstanceCount": count,
            "DesiredInstanceCount": count,
        }

    def _remove(self, name: str) -> None:
        server = self._servers.pop(name.lower(), None)
        if server is not None:
            server.stop()
        with self._store.transaction():
            document = self._record(name)["document"]
            self._store.delete(_KIND, name.lower())
            drop_tags(self._store, document["EndpointArn"])
        shutil.rmtree(endpoint_directory(self._context, name.lower()), ignore_errors=True)

    def _change(self, name: str, fields: dict[str, Any], identity: dict[str, Any] | None = None) -> None:
        with self._store.transaction():
            record = self._record(name)
            before = record["document"]["EndpointStatus"]
            record["document"] |= fields
            if identity is not None:
                record["process"] = identity
            if record["document"]["EndpointStatus"] != before:
                record["document"]["LastModifiedTime"] = now()
                events.endpoint_changed(self._store, record["document"])
            self._store.put(_KIND, name.lower(), record)
        self._context.outbox.wake()

    def _record(self, name: str) -> dict[str, Any]:
        record = self._store.get(_KIND, name.lower())
        if record is None:
            raise validation(f'Could not find endpoint "{self._context.arns.of("endpoint", name)}".')
        return record
