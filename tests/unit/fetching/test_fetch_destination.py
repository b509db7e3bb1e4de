"""The S3 destination: `_SUCCESS` last, nothing that looks complete after a failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from fetch_support import DATASTORE, IMAGE_SET, PSEUDONYMS, MemoryReader, axial_series, slices
from moto import mock_aws

from ahiflow.errors import AhiflowError, ServiceUnavailableError
from ahiflow.fetching.destination import S3Destination
from ahiflow.fetching.run import FetchRequest, FetchResult, fetch_image_set
from ahiflow.keys import image_set_prefix
from ahiflow.s3uri import S3Uri

PREFIX = image_set_prefix(DATASTORE, IMAGE_SET, "3")


class RecordingS3:
    """An S3 client that notes the keys that are written, and may fail on one."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.written: list[str] = []
        self.fail_on = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _note(self, key: str) -> None:
        if self.fail_on and key.endswith(self.fail_on):
            answer: Any = {"Error": {"Code": "InternalError"}, "ResponseMetadata": {"HTTPStatusCode": 500}}
            raise ClientError(answer, "PutObject")
        self.written.append(key.removeprefix(PREFIX))

    def upload_fileobj(self, stream: Any, bucket: str, key: str) -> None:
        self._note(key)
        self._client.upload_fileobj(stream, bucket, key)

    def put_object(self, **parameters: Any) -> Any:
        self._note(parameters["Key"])
        return self._client.put_object(**parameters)


@pytest.fixture
def s3() -> Iterator[RecordingS3]:
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="artifacts")
        yield RecordingS3(client)


def fetch(reader: MemoryReader, s3: Any) -> FetchResult:
    request = FetchRequest(DATASTORE, IMAGE_SET, "latest", frozenset({"npy", "nifti"}))
    return fetch_image_set(
        request,
        reader,
        PSEUDONYMS,
        lambda version: S3Destination(s3, S3Uri("artifacts", image_set_prefix(DATASTORE, IMAGE_SET, version))),
    )


def keys(s3: Any) -> list[str]:
    found = s3.list_objects_v2(Bucket="artifacts").get("Contents", ())
    return [item["Key"].removeprefix(PREFIX) for item in found]


def test_success_is_written_last_and_lists_every_file(s3: RecordingS3) -> None:
    result = fetch(axial_series(slices(3)), s3)
    assert result.report.image_set_uri == f"s3://artifacts/{PREFIX}"
    assert s3.written[-1] == "_SUCCESS"
    assert sorted(s3.written) == ["_SUCCESS", "image_set.json", "pixels.npy", "volume.nii.gz"]
    marker = json.loads(s3.get_object(Bucket="artifacts", Key=PREFIX + "_SUCCESS")["Body"].read())
    assert sorted(marker["files"]) == ["image_set.json", "pixels.npy", "volume.nii.gz"]


def test_a_bad_frame_writes_nothing(s3: RecordingS3) -> None:
    reader = axial_series(slices(3))
    frame = list(reader.frames)[-1]
    reader.frames[frame] = reader.frames[frame][:-10]
    with pytest.raises(AhiflowError, match=frame):
        fetch(reader, s3)
    assert keys(s3) == []


@pytest.mark.parametrize("file", ["pixels.npy", "image_set.json", "_SUCCESS"])
def test_a_failing_upload_leaves_no_success(s3: RecordingS3, file: str) -> None:
    s3.fail_on = file
    with pytest.raises(ServiceUnavailableError, match=file):
        fetch(axial_series(slices(3)), s3)
    assert "_SUCCESS" not in keys(s3)
    s3.fail_on = ""
    assert not fetch(axial_series(slices(3)), s3).report.already_present
    assert "_SUCCESS" in keys(s3)


def test_a_complete_output_is_not_written_again(s3: RecordingS3) -> None:
    reader = axial_series(slices(3))
    fetch(reader, s3)
    s3.written.clear()
    assert fetch(reader, s3).report.already_present
    assert s3.written == []
    s3.delete_object(Bucket="artifacts", Key=PREFIX + "pixels.npy")
    assert not fetch(reader, s3).report.already_present
