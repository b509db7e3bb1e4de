"""What is deployed under which name: the local cloud's counterpart of the CDK app's stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ahiflow import pipeline_contract
from ahiflow.resource_names import ResourceNames
from config import StageConfig, function_variables, resource_names

# Who may assume which role; the local cloud does not enforce policies, so it gives the roles none.
ROLES: Final[Mapping[str, str]] = {
    "import": "medical-imaging.amazonaws.com",
    "functions": "lambda.amazonaws.com",
    "pipeline": "sagemaker.amazonaws.com",
    "serving": "sagemaker.amazonaws.com",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from the configuration alone."""

    config: StageConfig
    account_id: str

    @property
    def region(self) -> str:
        """Region that the local cloud says it is."""
        return self.config.deploy_region

    @property
    def names(self) -> ResourceNames:
        """Names and ARNs of what is deployed."""
        return resource_names(self.config, account_id=self.account_id, partition="aws")

    def image_uri(self, image: str) -> str:
        """URI of one of our images; the local SageMaker knows it by the repository's last part."""
        registry = f"{self.account_id}.dkr.ecr.{self.region}.amazonaws.com"
        return f"{registry}/{self.config.resource_prefix}/{image}:local"

    def pipeline_placeholders(self) -> dict[str, str]:
        """Values of :data:`ahiflow.pipeline_contract.PLACEHOLDERS`."""
        return self.names.pipeline_placeholders(
            role_arn=self.names.role_arn("pipeline"),
            fetcher_image_uri=self.image_uri(pipeline_contract.IMAGE_FETCHER),
            learning_image_uri=self.image_uri(pipeline_contract.IMAGE_LEARNING),
        )

    def settings(self, datastore_id: str, approval_key_id: str) -> dict[str, str]:
        """Every value that a function may need, by the variable's name."""
        return function_variables(self.config, self.names, datastore_id=datastore_id, approval_key_id=approval_key_id)
