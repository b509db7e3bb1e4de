"""A model server: the image's ``serve`` in a process of its own, behind a loopback port."""

from __future__ import annotations

import http.client
import shutil
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahiflow.pipeline_contract import PORT_VARIABLE
from localcloud.sagemaker import transfer
from localcloud.sagemaker.context import Context
from localcloud.sagemaker.errors import JobFailedError, JobInterruptedError
from localcloud.sagemaker.process import Container, container_environment, relocate, tail

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.1
_PING_SECONDS = 2.0  # developer guide, "How your container should respond to health check requests"
_INVOKE_SECONDS = 60.0  # the same guide: a container must answer within 60 seconds
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a container answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ModelServer:
    """One production variant's container. ``root`` is its container root, removed when it stops."""

    def __init__(self, context: Context, endpoint: str, generation: int, variant: str) -> None:
        self.variant = variant
        self.root = context.backplane.state / "endpoints" / endpoint / str(generation)
        self.log = context.log_file("Endpoints", f"{endpoint}-{generation}")
        self._context = context
        self._port = 0
        self._container: Container | None = None

    @property
    def identity(self) -> dict[str, Any] | None:
        """Process id and start time, to be found again after a crash."""
        return self._container.identity if self._container else None

    def start(self, model: Mapping[str, Any], seconds: float, closing: threading.Event, *, isolated: bool) -> None:
        """Bring the model, start the program, wait until GET /ping answers 200.

        Raises JobFailedError with the end of the log, or JobInterruptedError when the service closes meanwhile.
        """
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / "model").mkdir(parents=True)
        if "ModelDataUrl" in model:
            transfer.download_archive(self._context.backplane.aws("s3"), model["ModelDataUrl"], self.root / "model")
        image = self._context.images.get(model["Image"])
        self._port = _free_port()
        environment = container_environment(
            root=self.root,
            home=self._context.home,
            endpoint_url=None if isolated else self._context.backplane.endpoint_url,
            region=self._context.backplane.region,
            own=image.environment | dict(model.get("Environment", {})) | {PORT_VARIABLE: str(self._port)},
        )
        argv = [relocate(item, self.root) for item in image.command_argv("serve")]
        self._container = Container(argv, folder=image.folder, environment=environment, log=self.log)
        self._wait_until_healthy(self._container, seconds, closing)

    def _wait_until_healthy(self, container: Container, seconds: float, closing: threading.Event) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_healthy():
            ended = container.wait(_POLL_SECONDS) is not None
            if closing.is_set():
                raise JobInterruptedError
            if ended or time.monotonic() >= deadline:
                raise JobFailedError(
                    f"The primary container for production variant {self.variant} did not pass the ping health check. "
                    f"Please check CloudWatch logs for this endpoint. {tail(self.log)}"
                )

    def _is_healthy(self) -> bool:
        try:
            return self._ask("GET", "/ping", b"", {}, _PING_SECONDS).status == 200
        except (OSError, http.client.HTTPException):
            return False

    @property
    def is_alive(self) -> bool:
        """Whether the program still runs."""
        return self._container is not None and self._container.poll() is None

    def invoke(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """POST /invocations. Raises OSError or HTTPException when the container does not answer."""
        return self._ask("POST", "/invocations", body, headers, _INVOKE_SECONDS)

    def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=seconds)
        try:
            connection.request(method, path, body=body or None, headers=dict(headers))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def stop(self) -> None:
        """End the program, gently first, and remove its files."""
        if self._container is not None:
            self._container.terminate()
            self._container.wait(_STOP_SECONDS)
            self._container.kill()
        shutil.rmtree(self.root, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def endpoint_directory(context: Context, endpoint: str) -> Path:
    """Everything that the containers of an endpoint have on disk."""
    return context.backplane.state / "endpoints" / endpoint
