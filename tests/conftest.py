"""For every test: no real AWS, no proxy, no network but loopback; and the local cloud for those that ask for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from localcloud_fixtures import bare_cloud, local_cloud  # noqa: F401 - fixtures for everybody

_DUMMY = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_LOOPBACK = ("127.", "::1", "localhost")


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dummy credentials, and none of the variables that lead a client elsewhere. Tests marked ``aws`` keep theirs."""
    if request.node.get_closest_marker("aws"):
        return
    for name in list(os.environ):
        if name.startswith(("AWS_", "AHIFLOW_", "POWERTOOLS_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in _DUMMY.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Refuse connections that leave the machine. Tests marked ``aws`` may."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and not str(address[0]).startswith(_LOOPBACK):
            raise AssertionError(f"a test tried to reach {address[0]}: tests use loopback only")
        connect(self, address)

    if not request.node.get_closest_marker("aws"):
        monkeypatch.setattr(socket.socket, "connect", guarded)
    yield
