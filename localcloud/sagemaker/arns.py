"""ARNs as SageMaker writes them, and the random ids in them."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass

_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Arns:
    """Builds the ARNs of one account and region. Names are lower-cased where the service does so."""

    account_id: str
    region: str

    def of(self, resource_type: str, name: str) -> str:
        """``arn:aws:sagemaker:<region>:<account>:<type>/<name>``."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:{resource_type}/{name.lower()}"

    def pipeline(self, name: str) -> str:
        """ARN of a pipeline; case is kept."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:pipeline/{name}"

    def pipeline_execution(self, name: str, execution_id: str) -> str:
        """ARN of one execution of a pipeline."""
        return f"{self.pipeline(name)}/execution/{execution_id}"

    def model_package(self, group: str, version: int) -> str:
        """ARN of a model package version; the group's case is kept."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:model-package/{group}/{version}"

    def model_package_group(self, group: str) -> str:
        """ARN of a model package group; case is kept."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:model-package-group/{group}"


def new_id(length: int = 12) -> str:
    """A random id of lower-case letters and digits, as in an execution's ARN."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def last_part(name_or_arn: str) -> str:
    """The name in an ARN ``.../<name>``, or the name itself."""
    return name_or_arn.rsplit("/", 1)[-1]
