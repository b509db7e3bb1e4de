"""Boto3ImageSetReader: what the service does on a bad day is retried, translated, or named."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber
from fetch_support import DATASTORE, IMAGE_SET

from ahiflow.errors import (
    AccessRefusedError,
    AhiflowError,
    InvalidRequestError,
    MalformedMetadataError,
    NotFoundError,
    NotYetConsistentError,
    ServiceUnavailableError,
    ThrottledError,
)
from ahiflow.healthimaging.reader import Boto3ImageSetReader, ImageSetRef

LATEST = ImageSetRef(DATASTORE, IMAGE_SET)
PINNED = ImageSetRef(DATASTORE, IMAGE_SET, "7")
FRAME = "f" * 32


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client("medical-imaging", config=Config(retries={"total_max_attempts": 1}))
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def reader(stub: Stubber, clock: Clock) -> Boto3ImageSetReader:
    return Boto3ImageSetReader(stub.client, deadline_seconds=10, sleep=clock.sleep, clock=clock)


def blob(content: bytes, length: int | None = None) -> StreamingBody:
    return StreamingBody(io.BytesIO(content), len(content) if length is None else length)


def image_set(state: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    ids = {"datastoreId": DATASTORE, "imageSetId": IMAGE_SET, "versionId": "7"}
    return {**ids, "imageSetState": state, "isPrimary": False, **more}


def test_latest_version_is_resolved(reader: Boto3ImageSetReader, stub: Stubber) -> None:
    stub.add_response("get_image_set", image_set(), {"datastoreId": DATASTORE, "imageSetId": IMAGE_SET})
    properties = reader.get_image_set(LATEST)
    assert (properties.ref.version_id, properties.is_primary) == ("7", False)


def test_deleted_image_set_does_not_exist(reader: Boto3ImageSetReader, stub: Stubber) -> None:
    stub.add_response("get_image_set", image_set("DELETED"))
    with pytest.raises(NotFoundError, match="was deleted"):
        reader.get_image_set(LATEST)


@pytest.mark.parametrize("content", [gzip.compress(b'{"a": 1}'), b'{"a": 1}'])
def test_metadata_is_of_the_pinned_version_and_decompressed(
    reader: Boto3ImageSetReader, stub: Stubber, content: bytes
) -> None:
    expected = {"datastoreId": DATASTORE, "imageSetId": IMAGE_SET, "versionId": "7"}
    stub.add_response("get_image_set_metadata", {"imageSetMetadataBlob": blob(content)}, expected)
    assert reader.get_metadata(PINNED) == b'{"a": 1}'


def test_cut_gzip_is_malformed(reader: Boto3ImageSetReader, stub: Stubber) -> None:
    content = gzip.compress(b'{"a": 1}' * 100)[:-9]
    stub.add_response("get_image_set_metadata", {"imageSetMetadataBlob": blob(content)})
    with pytest.raises(MalformedMetadataError, match="not whole gzip"):
        reader.get_metadata(PINNED)


def test_not_yet_consistent_metadata_is_read_a_little_later(
    reader: Boto3ImageSetReader, stub: Stubber, clock: Clock
) -> None:
    for _ in range(2):
        stub.add_client_error("get_image_set_metadata", "ConflictException", "not consistent yet", 409)
    stub.add_response("get_image_set_metadata", {"imageSetMetadataBlob": blob(b"{}")})
    assert reader.get_metadata(PINNED) == b"{}"
    assert len(clock.slept) == 2


def test_a_conflict_that_stays_is_given_up_at_the_deadline(clock: Clock) -> None:
    class AlwaysConflict:
        def get_image_set_metadata(self, **_: Any) -> Any:
            answer: Any = {"Error": {"Code": "ConflictException"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
            raise ClientError(answer, "GetImageSetMetadata")

    reader = Boto3ImageSetReader(AlwaysConflict(), deadline_seconds=10, sleep=clock.sleep, clock=clock)
    with pytest.raises(NotYetConsistentError, match="metadata of image set"):
        reader.get_metadata(PINNED)
    assert 0 < clock.now <= 10
    assert len(clock.slept) > 3
    assert clock.slept == sorted(clock.slept), "the delays must grow"


def test_a_cut_frame_is_read_again(reader: Boto3ImageSetReader, stub: Stubber) -> None:
    stub.add_response("get_image_frame", {"imageFrameBlob": blob(b"half", length=8)})
    stub.add_response("get_image_frame", {"imageFrameBlob": blob(b"complete")})
    assert reader.get_frame(PINNED, FRAME) == b"complete"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ResourceNotFoundException", 404, NotFoundError),
        ("AccessDeniedException", 403, AccessRefusedError),
        ("ValidationException", 400, InvalidRequestError),
        ("BadRequestException", 400, InvalidRequestError),
        ("NotAcceptableException", 406, InvalidRequestError),
    ],
)
def test_permanent_errors_are_raised_at_once(
    reader: Boto3ImageSetReader, stub: Stubber, clock: Clock, code: str, status: int, error: type[AhiflowError]
) -> None:
    stub.add_client_error("get_image_frame", code, "patient data in a message of the service", status)
    with pytest.raises(error, match=f"frame {FRAME} of image set {IMAGE_SET}") as raised:
        reader.get_frame(PINNED, FRAME)
    assert "patient data" not in str(raised.value)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [("ThrottlingException", 429, ThrottledError), ("InternalServerException", 500, ServiceUnavailableError)],
)
def test_transient_errors_are_retried(
    reader: Boto3ImageSetReader, stub: Stubber, clock: Clock, code: str, status: int, error: type[AhiflowError]
) -> None:
    stub.add_client_error("get_image_frame", code, "", status)
    stub.add_response("get_image_frame", {"imageFrameBlob": blob(b"frame")})
    assert reader.get_frame(PINNED, FRAME) == b"frame"
    assert len(clock.slept) == 1
    assert error.retry


def test_every_error_of_the_service_model_has_one_class_of_ours() -> None:
    from ahiflow.aws_errors import _BY_CODE

    model = boto3.client("medical-imaging").meta.service_model
    names = {shape.name for shape in model.error_shapes}
    assert names <= set(_BY_CODE), names - set(_BY_CODE)
