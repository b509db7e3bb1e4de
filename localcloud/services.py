"""Which of our own services the host runs, and what each gets."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ahiflow import aws
from ahiflow.errors import ConfigurationError
from localcloud.service import Backplane, EmitEvent, LocalService

# Imported when the host starts them, so that one can be served without the other.
OWN_SERVICES = (
    "localcloud.healthimaging.service:HealthImagingService",
    "localcloud.sagemaker.service:SageMakerService",
)
_CONNECTIONS = 32


def make_services(
    paths: Sequence[str], *, state: Path, account_id: str, region: str, endpoint_url: str, emit: EmitEvent
) -> list[LocalService]:
    """Build each ``module:Class`` with a Backplane of its own. Raises ConfigurationError that names what is missing."""
    clients = Clients()
    made: list[LocalService] = []
    for path in paths:
        factory = _factory(path)
        folder = state / path.partition(":")[0].split(".")[:2][-1]
        folder.mkdir(parents=True, exist_ok=True)
        made.append(factory(Backplane(folder, account_id, region, endpoint_url, emit, clients)))
    return made


class Clients:
    """boto3 clients of the local cloud, built once each; ``clients("s3")``. Thread-safe, as the clients are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: dict[str, Any] = {}

    def __call__(self, name: str) -> Any:
        """The client for ``name`` (botocore's)."""
        with self._lock:
            if name not in self._built:
                self._built[name] = aws.client(name, max_connections=_CONNECTIONS)
            return self._built[name]


def _factory(path: str) -> Callable[[Backplane], LocalService]:
    module, _, name = path.partition(":")
    try:
        factory: Callable[[Backplane], LocalService] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"no local service {path}: {error}") from error
    return factory
