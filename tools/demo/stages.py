"""The stages of the demo: their names, how long each took, and how they are shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console


@dataclass(slots=True)
class Stages:
    """Times stages in the order in which they are entered; seconds on the wall clock."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @contextmanager
    def stage(self, name: str, what: str) -> Iterator[None]:
        """Announce a stage, time it and say that it is done. A failing stage is timed too."""
        began = time.monotonic()
        self.console.print(f"[bold cyan]>[/] {what}")
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - began, 2)

    def say(self, text: str) -> None:
        """Print one indented line of what a stage found."""
        self.console.print(f"  {text}", highlight=False)

    @property
    def total(self) -> float:
        """Seconds since this object was made."""
        return round(time.monotonic() - self._began, 2)
