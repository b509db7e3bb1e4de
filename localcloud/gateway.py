"""The one door of the local cloud: sends each request to our own services or to MiniStack, by its signature's scope.

The port is on loopback, yet any web page in a browser of this machine could reach it, and it holds patient data. So a
request must be signed (no page can do that without asking first), come without ``Origin``, and name a loopback host.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from localcloud.adapter import AsgiService, Receive, Scope, Send, headers_of, query_of, send_response, with_framing
from localcloud.errors import refusal
from localcloud.service import Response

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

HEALTH_PATH = "/_ministack/health"
_EMULATOR_COMMANDS = ("/_ministack/", "/_localstack/", "/_aws/", "/_alb/")
_CREDENTIAL = re.compile(r"Credential=[^/]*/[^/]+/[^/]+/([^/]+)/")
_LOOPBACK_HOST = re.compile(r"(.*\.)?(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", re.IGNORECASE)
_FORM_UPLOAD = "multipart/form-data"


def signed_for(headers: Mapping[str, str], query: Mapping[str, Sequence[str]]) -> str | None:
    """Name of the service in the signature's credential scope (header or presigned query), None when unsigned.

    Signature version 2 (`Authorization: AWS key:signature`, old presigned URLs) and browser form uploads, whose
    signature is in the form, exist for S3 only.
    """
    authorization = headers.get("authorization", "")
    if match := _CREDENTIAL.search(authorization):
        return match[1]
    for value in query.get("X-Amz-Credential", ()):
        parts = value.split("/")
        if len(parts) == 5:
            return parts[3]
    if authorization.startswith("AWS ") or "AWSAccessKeyId" in query:
        return "s3"
    return "s3" if headers.get("content-type", "").startswith(_FORM_UPLOAD) else None


class Gateway:
    """ASGI application. ``hosted`` are the signing names that MiniStack is trusted with; others are refused."""

    def __init__(
        self,
        services: Sequence[AsgiService],
        ministack: Asgi,
        *,
        hosted: frozenset[str],
        touched: Callable[[], None],
    ) -> None:
        self._own = {name: service for service in services for name in service.service.signing_names}
        self._ministack = ministack
        self._hosted = hosted
        self._touched = touched

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route one ASGI connection. Websockets are refused; the lifespan is MiniStack's."""
        if scope["type"] == "lifespan":
            await self._ministack(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope["headers"])
        service = signed_for(headers, query_of(scope["query_string"].decode("latin-1")))
        refused = self._refuse(scope, headers, service)
        if refused is not None:
            await send_response(send, with_framing(refused))
        elif service in self._own:
            await self._own[service](scope, receive, send)
        else:
            await self._ministack(scope, receive, send)
            if scope["method"] not in ("GET", "HEAD"):
                self._touched()

    def _refuse(self, scope: Scope, headers: Mapping[str, str], service: str | None) -> Response | None:
        if "origin" in headers or not _LOOPBACK_HOST.fullmatch(headers.get("host", "")):
            return refusal(403, "AccessDenied", "the local cloud does not serve web pages", headers)
        if scope["path"] == HEALTH_PATH:
            return None
        if scope["path"].startswith(_EMULATOR_COMMANDS):
            return refusal(403, "AccessDenied", "the emulator's own commands are closed", headers)
        if service is None:
            return refusal(403, "AccessDenied", "the request is not signed", headers)
        if service not in self._own and service not in self._hosted:
            message = f"the local cloud does not host the service that signs as {service!r}"
            return refusal(501, "UnsupportedService", message, headers, service=service)
        return None
