"""What is deployed under which name, in the cloud and locally. Standard library only.

Names follow from the configuration, so that no deployed thing needs to be asked for another's.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResourceNames:
    """Names and ARNs of one deployment.

    ``account_id`` and ``partition`` may be templates that the deployer fills. Empty ``sagemaker_bucket_name``: the
    artifacts bucket is one of our own.
    """

    resource_prefix: str
    region: str
    account_id: str
    partition: str
    sagemaker_bucket_name: str
    pipeline_name: str
    model_package_group_name: str

    @property
    def ingest_bucket(self) -> str:
        """Bucket that the receiver writes to."""
        return self._bucket("ingest")

    @property
    def artifacts_bucket(self) -> str:
        """Bucket of everything after the import: the configured one, or one of our own."""
        return self.sagemaker_bucket_name or self._bucket("artifacts")

    @property
    def access_log_bucket(self) -> str:
        """Bucket of the buckets' access logs."""
        return self._bucket("access-logs")

    @property
    def ledger_table(self) -> str:
        """DynamoDB table of the ledger."""
        return f"{self.resource_prefix}-ledger"

    @property
    def pseudonym_secret(self) -> str:
        """Secret that holds the pseudonym key."""
        return f"{self.resource_prefix}/pseudonym"

    @property
    def approval_key_alias(self) -> str:
        """Alias of the KMS key that signs approvals."""
        return f"alias/{self.resource_prefix}-approval"

    @property
    def pipeline_arn(self) -> str:
        """ARN of the pipeline."""
        return self.sagemaker_arn("pipeline", self.pipeline_name)

    def unit(self, function: str) -> str:
        """Name of a function, and of the queue before it."""
        return f"{self.resource_prefix}-{function.replace('_', '-')}"

    def dead_letter_queue(self, function: str) -> str:
        """Queue of what a function could not handle; `ahiflow replay --dead-letters` reads it."""
        return f"{self.unit(function)}-dlq"

    def rule(self, route: str) -> str:
        """Name of a route's rule."""
        return f"{self.resource_prefix}-{route}"

    def role(self, name: str) -> str:
        """Name of a role that services are told to assume. IAM is global, so the region is part of it."""
        return f"{self.resource_prefix}-{name}-{self.region}"

    def role_arn(self, name: str) -> str:
        """ARN of one of the roles."""
        return f"arn:{self.partition}:iam::{self.account_id}:role/{self.role(name)}"

    def bucket_arn(self, bucket: str, key: str = "") -> str:
        """ARN of a bucket, or of keys in it."""
        return f"arn:{self.partition}:s3:::{bucket}" + (f"/{key}" if key else "")

    def queue_arn(self, queue: str) -> str:
        """ARN of a queue."""
        return self._regional("sqs", queue)

    def rule_arn(self, route: str) -> str:
        """ARN of a route's rule."""
        return self._regional("events", f"rule/{self.rule(route)}")

    def sagemaker_arn(self, kind: str, name: str) -> str:
        """ARN of a SageMaker resource; SageMaker puts names into ARNs in lower case."""
        return self._regional("sagemaker", f"{kind}/{name.lower()}")

    def table_arns(self) -> list[str]:
        """ARNs of the ledger and its index."""
        table = self._regional("dynamodb", f"table/{self.ledger_table}")
        return [table, f"{table}/index/by-kind"]

    def datastore_arn(self, datastore_id: str) -> str:
        """ARN of a data store."""
        return self._regional("medical-imaging", f"datastore/{datastore_id}")

    def log_group_arn(self, group: str) -> str:
        """ARN of a log group's streams."""
        return self._regional("logs", f"log-group:{group}:*")

    def route_placeholders(self, datastore_id: str) -> dict[str, str]:
        """Values of the placeholders in :data:`ahiflow.routes.ROUTES`."""
        return {
            "IngestBucketName": self.ingest_bucket,
            "DatastoreId": datastore_id,
            "PipelineArn": self.pipeline_arn,
            "ModelPackageGroupName": self.model_package_group_name,
        }

    def pipeline_placeholders(
        self, *, role_arn: str, fetcher_image_uri: str, learning_image_uri: str
    ) -> dict[str, str]:
        """Values of :data:`ahiflow.pipeline_contract.PLACEHOLDERS`. Jobs run under ``role_arn``."""
        return {
            "PipelineRoleArn": role_arn,
            "ArtifactsBucketName": self.artifacts_bucket,
            "FetcherImageUri": fetcher_image_uri,
            "LearningImageUri": learning_image_uri,
            "PseudonymSecretId": self.pseudonym_secret,
            "ModelPackageGroupName": self.model_package_group_name,
        }

    def _regional(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    def _bucket(self, name: str) -> str:
        return f"{self.resource_prefix}-{name}-{self.account_id}-{self.region}"
