"""Every setting of config.py does something: one that nothing reads documents behaviour that does not exist."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

from config import StageConfig

ROOT = Path(__file__).resolve().parents[2]
READERS = ("infra", "localcloud")
# How the readers call the configuration.
NAMES = {"config", "_config"}


def settings_read(source: str) -> set[str]:
    """Attributes taken of something called ``config``: ``config.x``, ``self._config.x``, ``plan.config.x``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            base = node.value
            name = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
            if name in NAMES:
                found.add(node.attr)
    return found


def test_every_setting_is_read_by_what_deploys() -> None:
    files = [path for folder in READERS for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts]
    files.append(ROOT / "config.py")  # what both deployers derive from it
    read = set().union(*(settings_read(path.read_text()) for path in files))
    assert not {field.name for field in fields(StageConfig)} - read


def test_a_setting_that_nothing_reads_is_noticed() -> None:
    assert settings_read("def f(config, other):\n    return config.read, other.not_read, self._config.also") == {
        "read",
        "also",
    }
