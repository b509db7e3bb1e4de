"""Buckets, ledger, keys and the pseudonym secret: what must outlive everything else."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from ahiflow import keys
from ahiflow.ledger.schema import TABLE
from config import StageConfig
from infra.constructs.permissions import acknowledge
from infra.names import fill, names_of

_ATTRIBUTE_TYPES = {"S": dynamodb.AttributeType.STRING, "N": dynamodb.AttributeType.NUMBER}
_NOT_HEX = "ghijklmnopqrstuvwxyz"


class StorageStack(Stack):
    """Keeps its data when ``retain_data``; otherwise `cdk destroy` leaves nothing."""

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        self._config = config
        self._names = names_of(config)
        self._removal = RemovalPolicy.RETAIN if config.retain_data else RemovalPolicy.DESTROY
        self.data_key = kms.Key(
            self,
            "DataKey",
            alias=f"alias/{config.resource_prefix}-data",
            description="images and models at rest",
            enable_key_rotation=True,
            removal_policy=self._removal,
        )
        # Asymmetric keys cannot rotate: a new approval key would be a new alias target, and old signatures name theirs.
        self.approval_key = kms.Key(
            self,
            "ApprovalKey",
            alias=self._names.approval_key_alias,
            description="signs model approvals",
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=self._removal,
        )
        self._access_logs = self._access_log_bucket()
        self.ingest_bucket = self._bucket("Ingest", self._names.ingest_bucket, [_noncurrent(90)])
        self.artifacts_bucket = self._artifacts_bucket()
        self._ledger()
        self._pseudonym_secret()
        CfnOutput(self, "IngestBucketName", value=self.ingest_bucket.bucket_name)
        CfnOutput(self, "ArtifactsBucketName", value=self.artifacts_bucket.bucket_name)
        CfnOutput(self, "LedgerTableName", value=self._names.ledger_table)
        CfnOutput(self, "ApprovalKeyArn", value=self.approval_key.key_arn)
        CfnOutput(self, "PseudonymSecretId", value=self._names.pseudonym_secret)

    def _artifacts_bucket(self) -> s3.IBucket:
        if self._config.sagemaker_bucket_name:
            return s3.Bucket.from_bucket_name(self, "Artifacts", self._config.sagemaker_bucket_name)
        executions = s3.LifecycleRule(
            id="archive-executions",
            prefix=keys.EXECUTIONS,
            transitions=[
                s3.Transition(storage_class=s3.StorageClass.INTELLIGENT_TIERING, transition_after=Duration.days(30))
            ],
        )
        return self._bucket("Artifacts", self._names.artifacts_bucket, [_noncurrent(90), executions])

    def _bucket(self, id_: str, name: str, rules: list[s3.LifecycleRule]) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            id_,
            bucket_name=fill(name),
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self.data_key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            lifecycle_rules=rules,
            server_access_logs_bucket=self._access_logs,
            server_access_logs_prefix=f"{id_.lower()}/",
            removal_policy=self._removal,
            auto_delete_objects=not self._config.retain_data,
        )
        # The property, not the L2's custom resource: EventBridge needs no Lambda function to be switched on.
        resource = bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)
        resource.add_property_override("NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True)
        return bucket

    def _access_log_bucket(self) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "AccessLogs",
            bucket_name=fill(self._names.access_log_bucket),
            encryption=s3.BucketEncryption.S3_MANAGED,  # S3 delivers access logs to SSE-S3 buckets only
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(id="expire", expiration=Duration.days(self._config.log_retention_days)),
                _noncurrent(7),
            ],
            removal_policy=self._removal,
            auto_delete_objects=not self._config.retain_data,
        )
        acknowledge(bucket, "AwsSolutions-S1", "it is the bucket of the access logs")
        return bucket

    def _ledger(self) -> None:
        types = {
            item["AttributeName"]: _ATTRIBUTE_TYPES[item["AttributeType"]] for item in TABLE["AttributeDefinitions"]
        }

        def attribute(schema: list[dict[str, str]], role: str) -> dynamodb.Attribute:
            (name,) = (item["AttributeName"] for item in schema if item["KeyType"] == role)
            return dynamodb.Attribute(name=name, type=types[name])

        table = dynamodb.Table(
            self,
            "Ledger",
            table_name=self._names.ledger_table,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._config.retain_data,
            removal_policy=self._removal,
            partition_key=attribute(TABLE["KeySchema"], "HASH"),
            sort_key=attribute(TABLE["KeySchema"], "RANGE"),
        )
        for index in TABLE["GlobalSecondaryIndexes"]:
            table.add_global_secondary_index(
                index_name=index["IndexName"],
                partition_key=attribute(index["KeySchema"], "HASH"),
                sort_key=attribute(index["KeySchema"], "RANGE"),
            )

    def _pseudonym_secret(self) -> None:
        secret = secretsmanager.Secret(
            self,
            "PseudonymKey",
            secret_name=self._names.pseudonym_secret,
            description="key of the pseudonyms (HMAC-SHA256), 64 hex characters",
            encryption_key=self.data_key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=64,
                exclude_characters=_NOT_HEX,
                exclude_uppercase=True,
                exclude_punctuation=True,
                include_space=False,
                require_each_included_type=False,
            ),
            removal_policy=self._removal,
        )
        reason = "another key gives other pseudonyms: every patient would be a new one"
        acknowledge(secret, "AwsSolutions-SMG4", reason)


def _noncurrent(days: int) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        id="tidy",
        noncurrent_version_expiration=Duration.days(days),
        abort_incomplete_multipart_upload_after=Duration.days(7),
    )
