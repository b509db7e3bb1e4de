"""moto's S3, and a SageMaker service of its own for each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

sys.path.insert(0, str(Path(__file__).parent))

from sagemaker_support import BUCKET, Cloud, client, running_cloud


@pytest.fixture(scope="module")  # not longer: moto changes the environment of the process
def moto_s3() -> Iterator[Any]:
    """moto's S3 in this process: programs of the test image never call AWS themselves."""
    with mock_aws():
        made = client(None, "s3")
        made.create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture
def s3(moto_s3: Any) -> Any:
    """The same S3, its bucket empty."""
    for item in moto_s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        moto_s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    return moto_s3


@pytest.fixture
def cloud(tmp_path: Path, s3: Any) -> Iterator[Cloud]:
    with running_cloud(tmp_path / "state", s3) as running:
        yield running
