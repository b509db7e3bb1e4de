"""The HealthImaging data store (a new one or a given one) and the role under which it imports."""

from __future__ import annotations

from typing import Any

from aws_cdk import CfnOutput, Fn, RemovalPolicy, Stack
from aws_cdk import aws_healthimaging as healthimaging
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from ahiflow import keys
from config import StageConfig
from infra.constructs.permissions import Permission, grant
from infra.names import fill, names_of


class ImagingStack(Stack):
    """``datastore_id`` is for other stacks: the given id, or what this stack exports."""

    def __init__(self, scope: Construct, id_: str, *, config: StageConfig, data_key: kms.IKey, **kwargs: Any) -> None:
        super().__init__(scope, id_, **kwargs)
        self._config = config
        self._names = names_of(config)
        datastore_id = config.datastore_id or self._datastore()
        self._import_role(datastore_id, data_key)
        export = f"{config.resource_prefix}-datastore-id"
        CfnOutput(self, "DatastoreId", value=datastore_id, export_name=export)
        self.datastore_id = config.datastore_id or Fn.import_value(export)
        CfnOutput(self, "ImportRoleArn", value=fill(self._names.role_arn("import")))

    def _datastore(self) -> str:
        datastore = healthimaging.CfnDatastore(self, "Datastore", datastore_name=self._config.resource_prefix)
        datastore.apply_removal_policy(RemovalPolicy.RETAIN if self._config.retain_data else RemovalPolicy.DESTROY)
        return datastore.attr_datastore_id

    def _import_role(self, datastore_id: str, data_key: kms.IKey) -> None:
        names = self._names
        trust = iam.ServicePrincipal(
            "medical-imaging.amazonaws.com",
            conditions={
                "StringEquals": {"aws:SourceAccount": self.account},
                "ArnLike": {"aws:SourceArn": fill(names.datastore_arn(datastore_id))},
            },
        )
        role = iam.Role(self, "ImportRole", role_name=names.role("import"), assumed_by=trust)
        ingest, artifacts = names.ingest_bucket, names.artifacts_bucket
        grant(
            role,
            [
                Permission(["s3:ListBucket"], [names.bucket_arn(ingest), names.bucket_arn(artifacts)]),
                Permission(
                    ["s3:GetObject"], [names.bucket_arn(ingest, f"{keys.INSTANCES}*")], "an import job reads a prefix"
                ),
                Permission(
                    ["s3:PutObject"], [names.bucket_arn(artifacts, f"{keys.IMPORTS}*")], "HealthImaging names its files"
                ),
                Permission(["kms:Decrypt", "kms:GenerateDataKey"], [data_key.key_arn]),
            ],
        )
