"""What is deployed under which name. Names follow from the configuration, so that stacks need not import each other.

An ARN here is a template: ``{partition}`` and ``{account}`` are the deployer's; :func:`fill` puts in tokens.
The local cloud uses the same names.
"""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Aws

from config import StageConfig


def fill(template: str) -> str:
    """Put CloudFormation's pseudo parameters into a template."""
    return template.replace("{partition}", Aws.PARTITION).replace("{account}", Aws.ACCOUNT_ID)


@dataclass(frozen=True, slots=True)
class Names:
    """Names and ARN templates that follow from the configuration."""

    config: StageConfig

    @property
    def ingest_bucket(self) -> str:
        """Bucket that the receiver writes to."""
        return self._bucket("ingest")

    @property
    def artifacts_bucket(self) -> str:
        """Bucket of everything after the import: the configured one, or one of our own."""
        return self.config.sagemaker_bucket_name or self._bucket("artifacts")

    @property
    def access_log_bucket(self) -> str:
        """Bucket of the buckets' access logs."""
        return self._bucket("access-logs")

    @property
    def ledger_table(self) -> str:
        """DynamoDB table of the ledger."""
        return f"{self.config.resource_prefix}-ledger"

    @property
    def pseudonym_secret(self) -> str:
        """Secret that holds the pseudonym key."""
        return f"{self.config.resource_prefix}/pseudonym"

    @property
    def approval_key_alias(self) -> str:
        """Alias of the KMS key that signs approvals."""
        return f"alias/{self.config.resource_prefix}-approval"

    def unit(self, function: str) -> str:
        """Name of a function, and of the queue before it."""
        return f"{self.config.resource_prefix}-{function.replace('_', '-')}"

    def dead_letter_queue(self, function: str) -> str:
        """Queue of what a function could not handle; `ahiflow replay --dead-letters` reads it."""
        return f"{self.unit(function)}-dlq"

    def rule(self, route: str) -> str:
        """Name of a route's rule."""
        return f"{self.config.resource_prefix}-{route}"

    def role(self, name: str) -> str:
        """Name of a role that services are told to assume. IAM is global, so the region is part of it."""
        return f"{self.config.resource_prefix}-{name}-{self.config.deploy_region}"

    def bucket_arn(self, bucket: str, key: str = "") -> str:
        """ARN template of a bucket, or of keys in it."""
        return f"arn:{{partition}}:s3:::{bucket}" + (f"/{key}" if key else "")

    def sagemaker_arn(self, kind: str, name: str) -> str:
        """ARN template of a SageMaker resource; SageMaker puts names into ARNs in lower case."""
        return self._regional("sagemaker", f"{kind}/{name.lower()}")

    @property
    def pipeline_arn(self) -> str:
        """ARN template of the pipeline."""
        return self.sagemaker_arn("pipeline", self.config.pipeline_name)

    def role_arn(self, name: str) -> str:
        """ARN template of one of the roles."""
        return f"arn:{{partition}}:iam::{{account}}:role/{self.role(name)}"

    def table_arns(self) -> list[str]:
        """ARN templates of the ledger and its index."""
        table = self._regional("dynamodb", f"table/{self.ledger_table}")
        return [table, f"{table}/index/by-kind"]

    def datastore_arn(self, datastore_id: str) -> str:
        """ARN template of a data store."""
        return self._regional("medical-imaging", f"datastore/{datastore_id}")

    def log_group_arn(self, group: str) -> str:
        """ARN template of a log group's streams."""
        return self._regional("logs", f"log-group:{group}:*", separator=":")

    def _regional(self, service: str, resource: str, separator: str = ":") -> str:
        return f"arn:{{partition}}:{service}:{self.config.deploy_region}:{{account}}{separator}{resource}"

    def _bucket(self, name: str) -> str:
        return f"{self.config.resource_prefix}-{name}-{{account}}-{self.config.deploy_region}"
