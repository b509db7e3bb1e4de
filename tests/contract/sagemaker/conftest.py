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


@pytest.fixture
def s3() -> Iterator[Any]:
    """moto's S3 in this process: programs of the test image never call AWS themselves."""
    with mock_aws():
        made = client(None, "s3")
        made.create_bucket(Bucket=BUCKET)
        yield made


@pytest.fixture
def cloud(tmp_path: Path, s3: Any) -> Iterator[Cloud]:
    with running_cloud(tmp_path / "state", s3) as running:
        yield running
