"""Snapshots: what is kept, when, and what a damaged file does."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from ahiflow.errors import ConfigurationError
from localcloud.snapshots import Snapshots


class _Holder:
    def __init__(self) -> None:
        self.states: dict[str, str] = {"kms": "k", "dynamodb": "d"}
        self.is_changing = False

    def capture(self, name: str) -> bytes:
        if self.is_changing:
            raise RuntimeError("dictionary changed size during iteration")
        return json.dumps(self.states[name]).encode()

    def restore(self, name: str, document: bytes) -> None:
        self.states[name] = json.loads(document)


def test_what_is_saved_is_restored_private_and_only_when_it_changed(tmp_path: Path) -> None:
    holder = _Holder()
    snapshots = Snapshots(holder, tmp_path / "kept", ["kms", "dynamodb"])
    assert not snapshots.exist()
    assert snapshots.load() == []
    snapshots.save()
    before = {name: (tmp_path / "kept" / f"{name}.json").stat().st_ino for name in ("kms", "dynamodb")}
    holder.states["dynamodb"] = "changed"
    snapshots.save()
    after = {name: (tmp_path / "kept" / f"{name}.json").stat().st_ino for name in ("kms", "dynamodb")}
    assert after["kms"] == before["kms"]
    assert after["dynamodb"] != before["dynamodb"]
    assert stat.S_IMODE((tmp_path / "kept" / "kms.json").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "kept").glob("*.new")] == []
    again = _Holder()
    again.states = {}
    Snapshots(again, tmp_path / "kept", ["kms", "dynamodb"]).load()
    assert again.states == {"kms": "k", "dynamodb": "changed"}


def test_a_state_that_changes_meanwhile_is_saved_the_next_time(tmp_path: Path) -> None:
    holder = _Holder()
    snapshots = Snapshots(holder, tmp_path, ["kms"])
    holder.is_changing = True
    snapshots.save()
    assert not snapshots.exist()
    holder.is_changing = False
    snapshots.save()
    assert snapshots.exist()


@pytest.mark.parametrize("damage", [b"", b'{"__ministack', b"\xff\xfe"], ids=["empty", "torn", "no text"])
def test_damage_is_reported_and_keys_stop_the_start(tmp_path: Path, damage: bytes) -> None:
    snapshots = Snapshots(_Holder(), tmp_path, ["dynamodb"])
    (tmp_path / "dynamodb.json").write_bytes(damage)
    assert snapshots.load() == ["dynamodb"]
    (tmp_path / "kms.json").write_bytes(damage)
    with pytest.raises(ConfigurationError, match=r"kms\.json is damaged"):
        Snapshots(_Holder(), tmp_path, ["kms"]).load()
