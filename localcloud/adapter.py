"""From HTTP to :class:`localcloud.service.LocalService`: what every host of a service shares, and the ASGI form."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

from localcloud.errors import refusal
from localcloud.service import LocalService, Request, Response

Scope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_LOGGER = logging.getLogger("localcloud.adapter")
_THREADS = 32


class ClientGoneError(Exception):
    """The client went away before its request was complete."""


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields with lower-case names; a repeated field is one comma-joined value (RFC 9110 section 5.2)."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def query_of(raw: str) -> dict[str, list[str]]:
    """Query parameters, percent-decoded, empty values kept."""
    return parse_qs(raw, keep_blank_values=True)


def answer(service: LocalService, request: Request) -> Response:
    """Let the service answer. An exception is a defect of the service: logged with its trace, answered with 500."""
    try:
        response = service.handle(request)
    except Exception as error:
        _LOGGER.exception("%s failed on %s", service.signing_names[0], request.method)
        message = f"the local {service.signing_names[0]} service failed: {type(error).__name__}"
        response = refusal(500, "InternalServerException", message, request.headers, service=service.signing_names[0])
    return with_framing(response)


def with_framing(response: Response) -> Response:
    """Add Content-Length and a request id; every other header, and the body, stay as the service gave them."""
    present = {name.lower() for name in response.headers}
    extra = {"Content-Length": str(len(response.body))}
    if "x-amzn-requestid" not in present:
        extra["x-amzn-requestid"] = str(uuid.uuid4())
    kept = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
    return Response(response.status, response.body, {**kept, **extra})


async def read_body(receive: Receive) -> bytes:
    """Read a request body whole. Raises ClientGoneError."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def send_response(send: Send, response: Response) -> None:
    """Send a response that has its framing headers."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": False})


class AsgiService:
    """One service as an ASGI application. ``handle`` runs in a pool of threads of its own: the loop never blocks."""

    def __init__(self, service: LocalService) -> None:
        self.service = service
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=service.signing_names[0])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. A client that goes away before its body is complete gets nothing."""
        try:
            body = await read_body(receive)
        except ClientGoneError:
            return
        request = Request(
            method=scope["method"],
            path=scope["path"],
            headers=headers_of(scope["headers"]),
            query=query_of(scope["query_string"].decode("latin-1")),
            body=body,
        )
        loop = asyncio.get_running_loop()
        await send_response(send, await loop.run_in_executor(self._pool, answer, self.service, request))

    def close(self) -> None:
        """Close the service, then let its threads go."""
        self.service.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
