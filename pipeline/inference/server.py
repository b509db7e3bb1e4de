"""The endpoint's container: ``GET /ping`` and ``POST /invocations``, as SageMaker hosting calls them.

Logs say method, path, status and duration; never a body, a header or a name.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ahiflow import aws
from ahiflow.aws_errors import translated
from ahiflow.errors import AhiflowError, ConfigurationError
from ahiflow.pipeline_contract import CONTAINER_ROOT_VARIABLE, PORT_VARIABLE
from ahiflow.s3uri import S3Uri
from pipeline.bundle import Bundle
from pipeline.imaging import intensity_of
from pipeline.inference.requests import BadRequestError, Query, read_query

log = logging.getLogger(__name__)

DEFAULT_PORT = 8080  # "Use your own inference code with hosting services", Amazon SageMaker Developer Guide
MAXIMUM_BODY_BYTES = 64 * 1024**2
_SOCKET_TIMEOUT_SECONDS = 60


def serve(root: Path, environ: Mapping[str, str]) -> None:
    """Serve the model under ``root``/model until SIGTERM. Raises ConfigurationError or NotFoundError at the start."""
    server = build_server(root, environ)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    log.info("serving on port %d", server.server_address[1])
    server.serve_forever()
    server.server_close()


def build_server(root: Path, environ: Mapping[str, str]) -> ThreadingHTTPServer:
    """Load the model and bind: to loopback where the container root is relocated (no container), else to all."""
    text = environ.get(PORT_VARIABLE, str(DEFAULT_PORT))
    if not text.isdecimal():
        raise ConfigurationError(f"{PORT_VARIABLE} is not a port: {text!r}")
    host = "127.0.0.1" if CONTAINER_ROOT_VARIABLE in environ else "0.0.0.0"
    bundle = Bundle.load(root / "model")

    class Handler(_Handler):
        model = bundle

    return ThreadingHTTPServer((host, int(text)), Handler)


def answer(bundle: Bundle, query: Query) -> dict[str, Any]:
    """The response document. Raises BadRequestError for a modality that the model's values do not mean anything in."""
    facts = bundle.facts
    if query.modality is not None and intensity_of(query.modality) != facts.intensity:
        raise BadRequestError(
            f"the model was trained on {'/'.join(facts.modalities)}: other modalities cannot be asked"
        )
    probability = bundle.predict(query.slices)
    return {
        "probability": probability,
        "label": facts.class_names[1 if probability >= 0.5 else 0],
        "class_names": list(facts.class_names),
        "slices": len(query.slices),
        "model": {
            "label_name": facts.label_name,
            "dataset_sha256": facts.dataset_sha256,
            "code_version": facts.code_version,
        },
        "intended_use": "not for diagnosis",
    }


class _Handler(BaseHTTPRequestHandler):
    """One connection. ``model`` is set by build_server."""

    model: Bundle
    protocol_version = "HTTP/1.1"
    timeout = _SOCKET_TIMEOUT_SECONDS

    def do_GET(self) -> None:
        """Answer the health check: the model is loaded before the port is open."""
        if self.path == "/ping":
            self._send(HTTPStatus.OK, {"status": "healthy"})
        else:
            self._send(HTTPStatus.NOT_FOUND, {"error": "GET /ping or POST /invocations"})

    def do_POST(self) -> None:
        """Answer one prediction request."""
        began = time.monotonic()
        if self.path != "/invocations":
            self.close_connection = True
            self._send(HTTPStatus.NOT_FOUND, {"error": "GET /ping or POST /invocations"})
            return
        status, document = self._invoke()
        log.info("invocation %d in %.0f ms", status, 1000 * (time.monotonic() - began))
        self._send(status, document)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the default repeats the request line."""

    def _invoke(self) -> tuple[HTTPStatus, dict[str, Any]]:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.close_connection = True
            return HTTPStatus.LENGTH_REQUIRED, {"error": "Content-Length is needed"}
        if int(length) > MAXIMUM_BODY_BYTES:
            self.close_connection = True
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"at most {MAXIMUM_BODY_BYTES} bytes"}
        body = self.rfile.read(int(length))
        content_type = self.headers.get("Content-Type", "")
        try:
            facts = self.model.facts
            query = read_query(
                content_type,
                {name.lower(): value for name, value in self.headers.items()},
                body,
                facts.maximum_slices,
                fetch_object,
            )
            return HTTPStatus.OK, answer(self.model, query)
        except BadRequestError as error:
            return HTTPStatus.BAD_REQUEST, {"error": str(error)}
        except AhiflowError as error:
            log.error("%s", type(error).__name__)
            return HTTPStatus.SERVICE_UNAVAILABLE, {"error": "the image set cannot be read now: try again"}

    def _send(self, status: HTTPStatus, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def fetch_object(uri: S3Uri, path: Path) -> None:
    """Download one object. Raises what ``ahiflow.aws_errors`` says."""
    with translated(f"{uri.key.rpartition('/')[2]} of the image set"):
        aws.client("s3").download_file(uri.bucket, uri.key, str(path))
