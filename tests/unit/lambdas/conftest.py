from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import boto3
import pytest
from moto import mock_aws
from service_fakes import NOW
from spine_world import ARTIFACTS, INGEST, World

from ahiflow.ledger.schema import TABLE
from ahiflow.ledger.store import Ledger


@functools.cache
def _session() -> boto3.session.Session:
    return boto3.session.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-west-2")


@pytest.fixture
def make_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], World]]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        s3, dynamodb = _session().client("s3"), _session().client("dynamodb")
        for bucket in (INGEST, ARTIFACTS):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        made = 0

        def make() -> World:
            nonlocal made
            made += 1
            dynamodb.create_table(TableName=f"ledger-{made}", **TABLE)
            return World(s3, Ledger(dynamodb, f"ledger-{made}", now=lambda: NOW))

        yield make


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return make_world()
