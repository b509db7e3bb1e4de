"""The only place where AWS clients are built."""

from __future__ import annotations

from typing import Any, Final

import boto3
from botocore.config import Config

# The service adds "runtime-" to the host of image-set operations. Against AWS that is right; against the local cloud
# the environment says AWS_DISABLE_HOST_PREFIX_INJECTION=true, which botocore reads by itself.

_ATTEMPTS_OF_A_PERSON: Final = 3  # back-off of at most 1 s and 2 s between them
_CONNECT_SECONDS_OF_A_PERSON: Final = 3.0


def client(
    service: str,
    *,
    max_connections: int = 10,
    attempts: int = 6,
    timeout_seconds: float = 60,
    connect_timeout_seconds: float | None = None,
) -> Any:
    """Build a client for ``service`` (botocore's name) from the environment alone; thread-safe once built.

    Retries throttling and 5xx with back-off. 409 is not retried by botocore; callers do where it is meant to pass.
    ``attempts`` counts the first one; ``timeout_seconds`` is for each read, and for connecting unless
    ``connect_timeout_seconds`` says otherwise.
    """
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=max_connections,
        connect_timeout=timeout_seconds if connect_timeout_seconds is None else connect_timeout_seconds,
        read_timeout=timeout_seconds,
    )
    return boto3.client(service, config=config)


def impatient_client(service: str) -> Any:
    """Build a client for a person who waits: what cannot be reached is said within seconds."""
    return client(service, attempts=_ATTEMPTS_OF_A_PERSON, connect_timeout_seconds=_CONNECT_SECONDS_OF_A_PERSON)
