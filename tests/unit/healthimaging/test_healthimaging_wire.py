"""Requests are read by the service model alone: what it forbids is refused, what it allows arrives."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from localcloud.healthimaging.errors import ValidationError
from localcloud.healthimaging.wire.requests import parse
from localcloud.healthimaging.wire.routing import Router, load_service_model

ROUTER = Router(load_service_model())
ID = "0123456789abcdef0123456789abcdef"
ARN = f"arn:aws:medical-imaging:us-east-1:123456789012:datastore/{ID}"


@pytest.mark.parametrize("name", load_service_model().operation_names)
def test_every_operation_of_the_model_is_found_at_its_address(name: str) -> None:
    operation = load_service_model().operation_model(name)
    path = operation.http["requestUri"].format_map(_Labels())
    match = ROUTER.match(operation.http["method"], path)
    assert match is not None
    assert match.operation.name == name


class _Labels(dict[str, str]):
    def __missing__(self, label: str) -> str:
        return f"{ARN}/imageset/{ID}" if label == "resourceArn" else ID


def call(method: str, path: str, body: Any = None, query: dict[str, list[str]] | None = None) -> dict[str, Any]:
    match = ROUTER.match(method, path)
    assert match is not None
    return parse(match, query or {}, b"" if body is None else json.dumps(body).encode())


def test_the_body_is_the_payload_itself() -> None:
    """As botocore sends it; a body wrapped in the member's name lacks what is required."""
    path = f"/datastore/{ID}/imageSet/{ID}/getImageFrame"
    assert call("POST", path, {"imageFrameId": ID})["imageFrameInformation"] == {"imageFrameId": ID}
    with pytest.raises(ValidationError, match="imageFrameId"):
        call("POST", path, {"imageFrameInformation": {"imageFrameId": ID}})


def test_query_members_are_typed() -> None:
    params = call("GET", "/datastore", query={"maxResults": ["7"], "datastoreStatus": ["ACTIVE"]})
    assert params == {"maxResults": 7, "datastoreStatus": "ACTIVE"}
    update = f"/datastore/{ID}/imageSet/{ID}/updateImageSetMetadata"
    attributes = base64.b64encode(b"{}").decode()
    body = {"DICOMUpdates": {"updatableAttributes": attributes}}
    params = call("POST", update, body, {"latestVersion": ["1"], "force": ["true"]})
    assert params["force"] is True
    assert params["updateImageSetMetadataUpdates"]["DICOMUpdates"] == {"updatableAttributes": b"{}"}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"filters": [{"values": [{"DICOMPatientId": "a", "DICOMStudyId": "b"}], "operator": "EQUAL"}]}, "one member"),
        ({"filters": [{"values": [], "operator": "EQUAL"}]}, "length"),
        ({"filters": [{"values": [{"DICOMPatientId": "a"}], "operator": "LIKE"}]}, "enum"),
        ({"filters": [{"values": [{"DICOMPatientId": "a"}]}]}, "operator"),
        ({"filters": [{"values": [{"DICOMPatientId": 7}], "operator": "EQUAL"}]}, "type string"),
        ({"filters": [{"values": [{"DICOMStudyInstanceUID": "secret"}], "operator": "EQUAL"}]}, "pattern"),
        ({"sort": {"sortOrder": "ASC"}}, "sortField"),
    ],
)
def test_what_breaks_the_shape_is_named_and_not_quoted(body: Any, named: str) -> None:
    with pytest.raises(ValidationError, match=named) as refused:
        call("POST", f"/datastore/{ID}/searchImageSets", body)
    assert "secret" not in str(refused.value)


def test_a_body_that_is_no_json_is_refused() -> None:
    match = ROUTER.match("POST", "/datastore")
    assert match is not None
    for body in (b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(ValidationError):
            parse(match, {}, body)
