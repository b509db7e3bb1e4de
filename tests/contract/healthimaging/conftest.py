from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from healthimaging_support import HealthImaging, health_imaging
from moto import mock_aws


@pytest.fixture(scope="module")
def _mocked_s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="ingest")
        client.create_bucket(Bucket="artifacts")
        yield client


@pytest.fixture
def s3(_mocked_s3: Any) -> Any:
    """S3 with the two buckets, both empty."""
    for bucket in ("ingest", "artifacts"):
        for item in _mocked_s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
            _mocked_s3.delete_object(Bucket=bucket, Key=item["Key"])
    return _mocked_s3


@pytest.fixture
def ahi(tmp_path: Path, s3: Any) -> Iterator[HealthImaging]:
    with health_imaging(tmp_path / "state", s3) as served:
        yield served
