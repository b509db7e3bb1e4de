"""What every part of the service shares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localcloud.healthimaging.events import Arns, Events
from localcloud.healthimaging.faults import Faults
from localcloud.healthimaging.state.database import Database
from localcloud.healthimaging.switches import Switches
from localcloud.outbox import Outbox
from localcloud.service import Backplane

if TYPE_CHECKING:
    from localcloud.healthimaging.state.tasks import TaskRunner


@dataclass(slots=True)
class Context:
    """Built once by the service; ``tasks`` is set right after, since its handlers need the context themselves."""

    backplane: Backplane
    switches: Switches
    faults: Faults
    database: Database
    arns: Arns
    events: Events
    outbox: Outbox
    tasks: TaskRunner

    @property
    def state(self) -> Path:
        """The folder below which every stored path is relative."""
        return self.backplane.state
