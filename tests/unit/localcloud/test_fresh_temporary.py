"""A local cloud starts although a worker of a killed one still writes where it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from localcloud.serving import _fresh_temporary


def test_what_an_earlier_process_left_goes(tmp_path: Path) -> None:
    first = _fresh_temporary(tmp_path / "tmp")
    (first / "worker").mkdir()
    second = _fresh_temporary(tmp_path / "tmp")
    assert not first.exists()
    assert list(second.iterdir()) == []


def test_what_cannot_be_removed_is_not_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = _fresh_temporary(tmp_path / "tmp")
    (first / "still-written-to").touch()
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    second = _fresh_temporary(tmp_path / "tmp")
    assert second != first
    assert list(second.iterdir()) == []
