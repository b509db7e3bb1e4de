"""The only place where AWS clients are built."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

# The service adds "runtime-" to the host of image-set operations. Against AWS that is right; against the local cloud
# the environment says AWS_DISABLE_HOST_PREFIX_INJECTION=true, which botocore reads by itself.


def client(service: str, *, max_connections: int = 10, attempts: int = 6, timeout_seconds: float = 60) -> Any:
    """Build a client for ``service`` (botocore's name) from the environment alone; thread-safe once built.

    Retries throttling and 5xx with back-off. 409 is not retried by botocore; callers do where it is meant to pass.
    ``attempts`` counts the first one; ``timeout_seconds`` is for connecting and for each read.
    """
    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=max_connections,
        connect_timeout=timeout_seconds,
        read_timeout=timeout_seconds,
    )
    return boto3.client(service, config=config)
