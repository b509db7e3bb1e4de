"""What the parts of the service share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.outbox import Outbox
from localcloud.sagemaker.arns import Arns
from localcloud.sagemaker.faults import Faults
from localcloud.sagemaker.images import Images
from localcloud.sagemaker.store import Store
from localcloud.service import Backplane

Operation = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the machine does at once, and how long it waits. Seconds.

    ``job_slots`` bounds the subprocesses of jobs; further jobs wait in order. ``concurrent_executions`` is the
    service's own default quota of executions in one account.
    """

    job_slots: int = field(default_factory=lambda: max(2, os.cpu_count() or 2))
    concurrent_executions: int = 200
    stop_grace: float = 120.0  # what SageMaker leaves a container between SIGTERM and SIGKILL
    endpoint_start: float = 300.0
    checkpoint_interval: float = 5.0


@dataclass(frozen=True, slots=True)
class Context:
    """Passed to every part; the parts know each other only through what the service hands them."""

    backplane: Backplane
    store: Store
    arns: Arns
    images: Images
    outbox: Outbox
    faults: Faults
    limits: Limits

    @property
    def home(self) -> Path:
        """HOME of every container: kept between jobs, so that caches are filled once."""
        return self.backplane.state / "home"

    def log_file(self, *parts: str) -> Path:
        """Log of one container, ``<state>/logs/<kind>/<name>.log``."""
        return self.backplane.state.joinpath("logs", *parts[:-1], f"{parts[-1]}.log")


def now() -> float:
    """Seconds since the epoch, to the millisecond, as the wire form carries it."""
    return round(time.time(), 3)
