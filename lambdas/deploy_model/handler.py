"""deploy_model: a model package was approved -> its signature is verified, the endpoint serves it; rejected -> not."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ahiflow import aws, sqs_events
from ahiflow.approvals import Approvals
from ahiflow.ledger.store import Ledger
from ahiflow.registry import Registry
from ahiflow.settings import DeployModelSettings
from lambdas.deploy_model.endpoint import Endpoint
from lambdas.deploy_model.logic import Deployer, deploy_model


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point. An SQS batch of EventBridge events; answers with the records that are to come again."""
    return sqs_events.handle_events("deploy_model", _compose, event, context)


@functools.cache
def _compose() -> sqs_events.Work:
    settings = DeployModelSettings.from_environ(os.environ)
    sagemaker = aws.client("sagemaker")
    deployer = Deployer(
        registry=Registry(sagemaker, settings.model_package_group_name),
        approvals=Approvals(
            aws.client("s3"), aws.client("kms"), settings.artifacts_bucket_name, settings.approval_key_id
        ),
        endpoint=Endpoint(
            sagemaker, settings.endpoint_name, settings.serving_role_arn, settings.inference_instance_type
        ),
        ledger=Ledger(aws.client("dynamodb"), settings.ledger_table_name),
    )

    def work(event: Mapping[str, Any]) -> str:
        return deploy_model(event, deployer)

    return work
