"""What is deployed under which name: the local cloud's counterpart of the CDK app's stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ahiflow import pipeline_contract
from ahiflow.settings import (
    DeployModelSettings,
    EnvSettings,
    ReconcileSettings,
    RecordImportSettings,
    StartImportSettings,
    StartPipelineSettings,
)
from config import StageConfig

SETTINGS: Final[Mapping[str, type[EnvSettings]]] = {
    "start_import": StartImportSettings,
    "record_import": RecordImportSettings,
    "start_pipeline": StartPipelineSettings,
    "deploy_model": DeployModelSettings,
    "reconcile": ReconcileSettings,
}

# Who may assume which role; the local cloud does not enforce policies, so it gives the roles none.
ROLES: Final[Mapping[str, str]] = {
    "import": "medical-imaging.amazonaws.com",
    "functions": "lambda.amazonaws.com",
    "pipeline": "sagemaker.amazonaws.com",
    "serving": "sagemaker.amazonaws.com",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Names and ARNs that follow from the configuration alone."""

    config: StageConfig
    account_id: str

    @property
    def region(self) -> str:
        """Region that the local cloud says it is."""
        return self.config.deploy_region

    @property
    def ingest_bucket(self) -> str:
        """Bucket that the receiver writes to."""
        return self._bucket("ingest")

    @property
    def artifacts_bucket(self) -> str:
        """Bucket of everything after the import: the configured one, or one of our own."""
        return self.config.sagemaker_bucket_name or self._bucket("artifacts")

    @property
    def ledger_table(self) -> str:
        """DynamoDB table of the ledger."""
        return f"{self.config.resource_prefix}-ledger"

    @property
    def pseudonym_secret(self) -> str:
        """Name of the secret that holds the pseudonym key."""
        return f"{self.config.resource_prefix}/pseudonym"

    @property
    def approval_key_alias(self) -> str:
        """Alias of the KMS key that signs approvals."""
        return f"alias/{self.config.resource_prefix}-approval"

    @property
    def pipeline_arn(self) -> str:
        """ARN of the pipeline; SageMaker puts names into ARNs in lower case."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:pipeline/{self.config.pipeline_name.lower()}"

    def unit(self, function: str) -> str:
        """Name of a function, and of the queue before it."""
        return f"{self.config.resource_prefix}-{function.replace('_', '-')}"

    def role_name(self, role: str) -> str:
        """Name of one of ROLES."""
        return f"{self.config.resource_prefix}-{role}"

    def role_arn(self, role: str) -> str:
        """ARN of one of ROLES."""
        return f"arn:aws:iam::{self.account_id}:role/{self.role_name(role)}"

    def queue_arn(self, queue: str) -> str:
        """ARN of a queue."""
        return f"arn:aws:sqs:{self.region}:{self.account_id}:{queue}"

    def image_uri(self, image: str) -> str:
        """URI of one of our images; the local SageMaker knows it by the repository's last part."""
        registry = f"{self.account_id}.dkr.ecr.{self.region}.amazonaws.com"
        return f"{registry}/{self.config.resource_prefix}/{image}:local"

    def pipeline_placeholders(self) -> dict[str, str]:
        """Values of :data:`ahiflow.pipeline_contract.PLACEHOLDERS`."""
        return {
            "PipelineRoleArn": self.role_arn("pipeline"),
            "ArtifactsBucketName": self.artifacts_bucket,
            "FetcherImageUri": self.image_uri(pipeline_contract.IMAGE_FETCHER),
            "LearningImageUri": self.image_uri(pipeline_contract.IMAGE_LEARNING),
            "PseudonymSecretId": self.pseudonym_secret,
            "ModelPackageGroupName": self.config.model_package_group_name,
        }

    def parameter_defaults(self) -> dict[str, str | int | float]:
        """Defaults of the pipeline parameters that the configuration sets."""
        return {
            pipeline_contract.PARAMETER_PROCESSING_INSTANCE_TYPE: self.config.processing_instance_type,
            pipeline_contract.PARAMETER_TRAINING_INSTANCE_TYPE: self.config.training_instance_type,
            pipeline_contract.PARAMETER_MAX_FRAMES: self.config.max_frames_per_imageset,
            pipeline_contract.PARAMETER_OUTPUT_FORMAT: self.config.output_format,
            pipeline_contract.PARAMETER_MINIMUM_ROC_AUC: self.config.minimum_roc_auc,
        }

    def route_placeholders(self, datastore_id: str) -> dict[str, str]:
        """Values of the placeholders in :data:`ahiflow.routes.ROUTES`."""
        return {
            "IngestBucketName": self.ingest_bucket,
            "DatastoreId": datastore_id,
            "PipelineArn": self.pipeline_arn,
            "ModelPackageGroupName": self.config.model_package_group_name,
        }

    def settings(self, datastore_id: str, approval_key_id: str) -> dict[str, str]:
        """Every value that a function may need, by the variable's name."""
        return {
            "LEDGER_TABLE_NAME": self.ledger_table,
            "INGEST_BUCKET_NAME": self.ingest_bucket,
            "ARTIFACTS_BUCKET_NAME": self.artifacts_bucket,
            "DATASTORE_ID": datastore_id,
            "IMPORT_ROLE_ARN": self.role_arn("import"),
            "SERVING_ROLE_ARN": self.role_arn("serving"),
            "PIPELINE_NAME": self.config.pipeline_name,
            "START_NON_PRIMARY": str(self.config.start_non_primary).lower(),
            "MODEL_PACKAGE_GROUP_NAME": self.config.model_package_group_name,
            "ENDPOINT_NAME": self.config.endpoint_name,
            "INFERENCE_INSTANCE_TYPE": self.config.inference_instance_type,
            "APPROVAL_KEY_ID": approval_key_id,
        }

    def _bucket(self, name: str) -> str:
        return f"{self.config.resource_prefix}-{name}-{self.account_id}-{self.region}"
