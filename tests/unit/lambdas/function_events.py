from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_EVENTS = Path(__file__).resolve().parents[2] / "events"


def event(name: str) -> dict[str, Any]:
    """A fresh copy of tests/events/<name>.json."""
    parsed: dict[str, Any] = json.loads((_EVENTS / f"{name}.json").read_text())
    return parsed


def names() -> list[str]:
    return sorted(path.stem for path in _EVENTS.glob("*.json"))
