"""The only place where AWS clients are built."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

# The service adds "runtime-" to the host of image-set operations. Against AWS that is right; against the local cloud
# the environment says AWS_DISABLE_HOST_PREFIX_INJECTION=true, which botocore reads by itself.
_RETRIES = {"mode": "standard", "total_max_attempts": 6}


def client(service: str, *, max_connections: int = 10) -> Any:
    """Build a client for ``service`` (botocore's name) from the environment alone; thread-safe once built.

    Retries throttling and 5xx with back-off. 409 is not retried by botocore; callers do where it is meant to pass.
    """
    return boto3.client(service, config=Config(retries=_RETRIES, max_pool_connections=max_connections))
