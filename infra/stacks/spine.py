"""Routes, queues and functions: what moves a study from the bucket to a model (design.md section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_kms as kms
from constructs import Construct

from ahiflow.errors import ConfigurationError
from ahiflow.routes import FUNCTIONS, ROUTES
from ahiflow.settings import (
    DeployModelSettings,
    EnvSettings,
    ReconcileSettings,
    RecordImportSettings,
    StartImportSettings,
    StartPipelineSettings,
)
from config import StageConfig
from infra.constructs.queued_function import QueuedFunction
from infra.function_permissions import PERMISSIONS, Deployed
from infra.names import Names, fill

SETTINGS: Final[Mapping[str, type[EnvSettings]]] = {
    "start_import": StartImportSettings,
    "record_import": RecordImportSettings,
    "start_pipeline": StartPipelineSettings,
    "deploy_model": DeployModelSettings,
    "reconcile": ReconcileSettings,
}


class SpineStack(Stack):
    """``functions`` by name, each with its queue and dead letters."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        config: StageConfig,
        datastore_id: str,
        data_key: kms.IKey,
        approval_key: kms.IKey,
        lambda_zips: Path,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, **kwargs)
        deployed = Deployed(config, datastore_id, data_key.key_arn, approval_key.key_arn)
        values = _settings(deployed)
        self.functions: dict[str, QueuedFunction] = {}
        for function in FUNCTIONS:
            code = lambda_zips / f"{function}.zip"
            if not code.is_file():
                raise ConfigurationError(
                    f"{code.name} is not staged: run `python tools/stage_assets.py lambdas --target aws`"
                )
            self.functions[function] = QueuedFunction(
                self,
                function,
                config=config,
                settings={name: values[name] for name in sorted(SETTINGS[function].names())},
                permissions=PERMISSIONS[function](deployed),
                code=code,
            )
        placeholders = _placeholders(deployed)
        for route in ROUTES:
            rule = self.functions[route.function].add_route(route, placeholders)
            CfnOutput(self, f"Rule-{route.name}".title().replace("-", ""), value=rule.rule_arn)
        CfnOutput(self, "QueuePrefix", value=config.resource_prefix)
        CfnOutput(self, "EndpointName", value=config.endpoint_name)


def _settings(deployed: Deployed) -> dict[str, str]:
    """Every value that a function may need, by the variable's name."""
    names, config = deployed.names, deployed.config
    return {
        "LEDGER_TABLE_NAME": names.ledger_table,
        "INGEST_BUCKET_NAME": fill(names.ingest_bucket),
        "ARTIFACTS_BUCKET_NAME": fill(names.artifacts_bucket),
        "DATASTORE_ID": deployed.datastore_id,
        "IMPORT_ROLE_ARN": fill(names.role_arn("import")),
        "SERVING_ROLE_ARN": fill(names.role_arn("serving")),
        "PIPELINE_NAME": config.pipeline_name,
        "START_NON_PRIMARY": str(config.start_non_primary).lower(),
        "MODEL_PACKAGE_GROUP_NAME": config.model_package_group_name,
        "ENDPOINT_NAME": config.endpoint_name,
        "INFERENCE_INSTANCE_TYPE": config.inference_instance_type,
        "APPROVAL_KEY_ID": deployed.approval_key_arn,
    }


def _placeholders(deployed: Deployed) -> dict[str, str]:
    """Values of the placeholders in ROUTES."""
    names: Names = deployed.names
    return {
        "IngestBucketName": fill(names.ingest_bucket),
        "DatastoreId": deployed.datastore_id,
        "PipelineArn": fill(names.pipeline_arn),
        "ModelPackageGroupName": deployed.config.model_package_group_name,
    }
