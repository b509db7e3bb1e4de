"""Who is let in at the door, and where a request goes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from localcloud.adapter import AsgiService
from localcloud.gateway import Gateway, signed_for
from localcloud.service import Request, Response

SIGNED = "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@pytest.mark.parametrize(
    ("headers", "query", "service"),
    [
        ({"authorization": SIGNED.format("medical-imaging")}, {}, "medical-imaging"),
        ({}, {"X-Amz-Credential": ["AKID/20260101/us-east-1/s3/aws4_request"]}, "s3"),
        ({}, {"AWSAccessKeyId": ["AKID"], "Signature": ["x"]}, "s3"),
        ({"authorization": "AWS AKID:signature"}, {}, "s3"),
        ({"content-type": "multipart/form-data; boundary=x"}, {}, "s3"),
        ({"authorization": "Bearer x"}, {}, None),
        ({}, {"X-Amz-Credential": ["nonsense"]}, None),
        ({}, {}, None),
    ],
    ids=["header", "presigned", "presigned v2", "header v2", "form upload", "bearer", "malformed", "unsigned"],
)
def test_the_signature_names_the_service(
    headers: dict[str, str], query: dict[str, list[str]], service: str | None
) -> None:
    assert signed_for(headers, query) == service


class _Echo:
    signing_names = ("sagemaker",)

    def start(self) -> None: ...

    def close(self) -> None: ...

    def handle(self, request: Request) -> Response:
        return Response(200, request.body, {"X-Path": request.path})


def _ask(method: str, host: str, headers: Mapping[str, str], path: str = "/a b") -> tuple[int, bytes, list[str]]:
    sent: list[dict[str, Any]] = []
    touched: list[str] = []

    async def ministack(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"ministack"})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"body", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    gateway = Gateway(
        [AsgiService(_Echo())], ministack, hosted=frozenset({"s3"}), touched=lambda: touched.append(method)
    )
    raw = [(b"host", host.encode()), *((name.encode(), value.encode()) for name, value in headers.items())]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}
    asyncio.run(gateway(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent), touched


def test_own_services_ministack_and_strangers() -> None:
    assert _ask("POST", "127.0.0.1:1", {"authorization": SIGNED.format("sagemaker")}) == (200, b"body", [])
    assert _ask("GET", "127.0.0.1:1", {"authorization": SIGNED.format("s3")}) == (299, b"ministack", [])
    assert _ask("PUT", "bucket.localhost:1", {"authorization": SIGNED.format("s3")}) == (299, b"ministack", ["PUT"])
    status, body, _ = _ask("POST", "127.0.0.1:1", {"authorization": SIGNED.format("ec2")})
    assert (status, b"'ec2'" in body) == (501, True)
    assert _ask("GET", "127.0.0.1:1", {})[0] == 403
    assert _ask("GET", "evil.example:1", {"authorization": SIGNED.format("s3")})[0] == 403
    assert _ask("GET", "127.0.0.1.evil.example", {"authorization": SIGNED.format("s3")})[0] == 403
    assert _ask("GET", "127.0.0.1:1", {"authorization": SIGNED.format("s3"), "origin": "http://127.0.0.1:9"})[0] == 403
    assert _ask("POST", "127.0.0.1:1", {"authorization": SIGNED.format("s3")}, "/_ministack/reset")[0] == 403
    assert _ask("GET", "127.0.0.1:1", {}, "/_ministack/health")[0] == 299
