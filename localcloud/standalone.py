"""One LocalService alone over HTTP on a loopback port, without the rest of the local cloud.

with serve_alone(HealthImagingService, tmp_path) as endpoint_url:
    client = boto3.client("medical-imaging", endpoint_url=endpoint_url, config=Config(inject_host_prefix=False))
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ahiflow.errors import ConfigurationError
from localcloud.adapter import answer, query_of
from localcloud.service import Backplane, EmitEvent, LocalService, Request

_LOGGER = logging.getLogger("localcloud.standalone")
ACCOUNT_ID = "123456789012"
REGION = "us-east-1"


@contextmanager
def serve_alone(
    service_factory: Callable[[Backplane], LocalService],
    state: Path,
    *,
    aws: Callable[[str], Any] | None = None,
    emit: EmitEvent | None = None,
    port: int = 0,
) -> Iterator[str]:
    """Serve one service until the block ends; gives its endpoint URL. ``port`` 0 takes a free one.

    ``aws`` builds boto3 clients for what the service needs beside itself (S3, say); without it, asking for one raises
    ConfigurationError. ``emit`` receives the service's events; without it they are logged by name and go nowhere.
    """
    server = _Server(("127.0.0.1", port), _Handler)
    endpoint_url = f"http://127.0.0.1:{server.server_address[1]}"
    state.mkdir(parents=True, exist_ok=True)
    backplane = Backplane(
        state=state,
        account_id=ACCOUNT_ID,
        region=REGION,
        endpoint_url=endpoint_url,
        emit=emit or _log_event,
        aws=aws or _nothing_beside,
    )
    server.service = service_factory(backplane)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="serve-alone")
    thread.start()
    try:
        server.service.start()
        yield endpoint_url
    finally:
        server.shutdown()
        thread.join()
        server.service.close()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    service: LocalService


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=unquote(parts.path),
            headers={name.lower(): value for name, value in self.headers.items()},
            query=query_of(parts.query),
            body=self._body(),
        )
        response = answer(self.server.service, request)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers
        return b"".join(chunks)

    def log_message(self, format: str, *args: Any) -> None:
        _LOGGER.debug("request answered")


def _nothing_beside(name: str) -> Any:
    raise ConfigurationError(f"this service stands alone: there is no {name} beside it")


def _log_event(*, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
    _LOGGER.info("event without a bus: %s %s", source, detail_type)
