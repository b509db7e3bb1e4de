"""What a serving process says of itself, in ``<state>/serve.json``: it appears once everything is deployed."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from localcloud.snapshots import write_private

_FILE = "serve.json"


class Deployment(BaseModel):
    """The deployed names that clients and the receiver need."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    datastore_id: str
    ingest_bucket: str
    artifacts_bucket: str
    ledger_table: str
    pipeline_name: str
    model_package_group_name: str
    endpoint_name: str
    approval_key_id: str
    pseudonym_secret_id: str
    queue_prefix: str
    called_ae_title: str


class Serving(BaseModel):
    """One serving process. ``deployment`` is None when it was started bare."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    endpoint_url: str
    account_id: str
    deployment: Deployment | None


def save(serving: Serving, state: Path) -> None:
    """Write the description atomically."""
    write_private(state / _FILE, serving.model_dump_json(indent=2).encode())


def load(state: Path) -> Serving | None:
    """Read the description; None when there is none, or one of another version."""
    try:
        return Serving.model_validate_json((state / _FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def remove(state: Path) -> None:
    """Remove the description; nothing happens when there is none."""
    (state / _FILE).unlink(missing_ok=True)
