"""Fixtures: running local clouds, and the real data beside the checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine_support import SHARED, Machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e_local" in str(item.path):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A running local cloud for one module's tests."""
    made = Machine(tmp_path_factory.mktemp("machine") / "state")
    made.up()
    yield made
    made.down()


@pytest.fixture
def fresh_machine(tmp_path: Path) -> Iterator[Machine]:
    """A running local cloud that one test may break."""
    made = Machine(tmp_path / "state")
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout: needed in CI, optional elsewhere."""
    if not SHARED.is_dir():
        if os.environ.get("CI"):
            pytest.fail("CI must have ../shared/data")
        pytest.skip("no ../shared/data beside this checkout")
    return SHARED
