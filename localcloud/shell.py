"""Variables that point AWS clients at the local cloud, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping


def aws_variables(endpoint_url: str, account_id: str, region: str) -> dict[str, str]:
    """Variables for a shell, a subprocess or a function. The access key is the account id, as MiniStack reads it."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ENDPOINT_URL_MEDICAL_IMAGING": endpoint_url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_ACCESS_KEY_ID": account_id,
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without anything that could lead a client to a real account or through a proxy."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith("AWS_") and not name.lower().endswith("_proxy")
    }
    return {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
