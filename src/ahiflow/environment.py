"""The running local cloud, described in ``<state directory>/environment.json``; what `ahiflow env` prints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ahiflow.errors import ConfigurationError

STATE_VARIABLE = "AHIFLOW_STATE"
DEFAULT_STATE = ".ahiflow"
_FILE = "environment.json"


class Environment(BaseModel):
    """Where things are. ``processes`` maps a process name to its pid; ``shell`` maps variables to their values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: Literal["local", "aws"]
    endpoint_url: str | None
    region: str
    dicom_host: str
    dicom_port: int
    dicom_tls_port: int | None
    called_ae_title: str
    datastore_id: str
    ingest_bucket: str
    artifacts_bucket: str
    pipeline_name: str
    processes: dict[str, int]
    shell: dict[str, str]

    def dead_processes(self) -> list[str]:
        """Names of the processes that are not alive any more."""
        return [name for name, pid in self.processes.items() if not _alive(pid)]


def state_directory(environ: dict[str, str] | None = None) -> Path:
    """Directory of the local cloud's state: AHIFLOW_STATE, else ``.ahiflow`` here."""
    source = dict(os.environ) if environ is None else environ
    return Path(source.get(STATE_VARIABLE, DEFAULT_STATE)).resolve()


def load(state: Path) -> Environment:
    """Read the description. Raises ConfigurationError that says to `make up` when there is none."""
    try:
        return Environment.model_validate_json((state / _FILE).read_text())
    except FileNotFoundError as error:
        raise ConfigurationError("no local cloud here: run `make up` first") from error
    except ValidationError as error:
        raise ConfigurationError(f"{_FILE} was not written by this version: run `make down` and `make up`") from error


def save(environment: Environment, state: Path) -> None:
    """Write the description atomically."""
    state.mkdir(parents=True, exist_ok=True)
    temporary = state / f"{_FILE}.new"
    temporary.write_text(environment.model_dump_json(indent=2))
    temporary.replace(state / _FILE)


def remove(state: Path) -> None:
    """Remove the description; nothing happens when there is none."""
    (state / _FILE).unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether the process has ended and only waits for its parent to look (proc(5): state Z). False without /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return False
