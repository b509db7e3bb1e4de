"""serve_alone: one service over HTTP, for its own tests."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ahiflow.errors import ConfigurationError
from localcloud.service import Backplane, Request, Response
from localcloud.standalone import serve_alone


class _Service:
    signing_names = ("medical-imaging",)

    def __init__(self, backplane: Backplane) -> None:
        self.backplane = backplane
        self.events: list[str] = []

    def start(self) -> None:
        self.events.append("start")

    def close(self) -> None:
        self.events.append("close")

    def handle(self, request: Request) -> Response:
        if request.path == "/broken":
            raise ValueError("PATIENT^NAME")
        described = f"{request.method} {request.path} {dict(request.query)} {request.headers.get('x-one')}".encode()
        headers = {"Content-Encoding": "gzip", "content-length": "wrong"}
        return Response(207, described + b"\0" + request.body, headers)


@pytest.fixture
def connection(tmp_path: Path):
    made: list[_Service] = []

    def factory(backplane: Backplane) -> _Service:
        made.append(_Service(backplane))
        return made[0]

    with serve_alone(factory, tmp_path / "state") as endpoint_url:
        assert made[0].backplane.endpoint_url == endpoint_url
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(endpoint_url).port, timeout=10)
        yield connection, made[0]
        connection.close()
    assert made[0].events == ["start", "close"]


def test_requests_with_and_without_a_body(connection) -> None:
    client, _ = connection
    client.request("GET", "/a%20b?q=1&q=&r=%2F", headers={"X-One": "two"})
    answer = client.getresponse()
    assert answer.status == 207
    assert answer.read() == b"GET /a b {'q': ['1', ''], 'r': ['/']} two\0"
    assert answer.getheader("content-encoding") == "gzip"
    client.request(
        "POST", "/x", body=iter([b"\xff\x00", b"chunk"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert client.getresponse().read() == b"POST /x {} None\0\xff\x00chunk"
    client.request("DELETE", "/y", body=b"z")
    assert client.getresponse().read() == b"DELETE /y {} None\0z"


def test_a_defect_is_an_error_that_tells_no_value(connection, caplog: pytest.LogCaptureFixture) -> None:
    client, _ = connection
    client.request("GET", "/broken")
    answer = client.getresponse()
    body = answer.read()
    assert answer.status == 500
    assert answer.getheader("x-amzn-errortype") == "InternalServerException"
    assert b"ValueError" in body
    assert b"PATIENT" not in body


def test_nothing_stands_beside_it_unless_given(connection) -> None:
    _, service = connection
    with pytest.raises(ConfigurationError, match="no s3 beside it"):
        service.backplane.aws("s3")
