"""A receiver as it is shipped: a process of its own, with an S3 on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from receiver_process import BUCKET, Bucket, Receiver, answers, free_port, wait_for


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MiniStack's S3: unlike moto's it refuses a wrong checksum and honours If-None-Match."""
    port = free_port()
    folder = tmp_path_factory.mktemp("s3")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=environment, cwd=folder, stdout=log, stderr=log
        )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(port) or process.poll() is not None, "an S3")
        yield endpoint
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bucket(s3_endpoint: str) -> Bucket:
    return Bucket(s3_endpoint, f"{BUCKET}-{secrets.token_hex(4)}")


@pytest.fixture
def start(bucket: Bucket) -> Iterator[Callable[..., Receiver]]:
    started: list[Receiver] = []

    def _start(*, port: int = 0, endpoint: str = "", **settings: str) -> Receiver:
        started.append(Receiver(bucket, port or free_port(), endpoint or bucket.endpoint, **settings))
        return started[-1]

    yield _start
    for receiver in started:
        if receiver.process.poll() is None:
            receiver.kill()


@pytest.fixture(scope="module")
def shared_bucket(s3_endpoint: str) -> Bucket:
    return Bucket(s3_endpoint, f"{BUCKET}-shared-{secrets.token_hex(4)}")


@pytest.fixture(scope="module")
def shared_receiver(shared_bucket: Bucket) -> Iterator[Receiver]:
    """For tests that leave the receiver as they found it: starting one takes seconds on a busy machine."""
    receiver = Receiver(shared_bucket, free_port(), shared_bucket.endpoint)
    yield receiver
    receiver.kill()


@pytest.fixture
def receiver(start: Callable[..., Receiver]) -> Receiver:
    return start()


@pytest.fixture
def dcmtk() -> None:
    if shutil.which("storescu") is None:
        if os.environ.get("CI"):
            pytest.fail("dcmtk is not installed")
        pytest.skip("dcmtk is not installed")
