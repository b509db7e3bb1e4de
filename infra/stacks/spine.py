"""Routes, queues and functions: what moves a study from the bucket to a model (design.md section 1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_kms as kms
from constructs import Construct

from ahiflow.errors import ConfigurationError
from ahiflow.routes import FUNCTIONS, ROUTES
from ahiflow.settings import FUNCTION_SETTINGS
from config import StageConfig, function_variables
from infra.constructs.queued_function import QueuedFunction
from infra.function_permissions import PERMISSIONS, Deployed
from infra.names import fill_all


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
        values = fill_all(
            function_variables(config, deployed.names, datastore_id=datastore_id, approval_key_id=approval_key.key_arn)
        )
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
                settings={name: values[name] for name in sorted(FUNCTION_SETTINGS[function].names())},
                permissions=PERMISSIONS[function](deployed),
                code=code,
            )
        placeholders = fill_all(deployed.names.route_placeholders(datastore_id))
        for route in ROUTES:
            rule = self.functions[route.function].add_route(route, placeholders)
            CfnOutput(self, f"Rule-{route.name}".title().replace("-", ""), value=rule.rule_arn)
        CfnOutput(self, "QueuePrefix", value=config.resource_prefix)
        CfnOutput(self, "EndpointName", value=config.endpoint_name)
