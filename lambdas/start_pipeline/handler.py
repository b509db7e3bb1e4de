"""start_pipeline: an image set version is new -> its one pipeline execution."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ahiflow import aws, sqs_events
from ahiflow.ledger.store import Ledger
from ahiflow.settings import StartPipelineSettings
from ahiflow.spine.executions import ExecutionStarter
from lambdas.start_pipeline.logic import start_pipeline


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point. An SQS batch of EventBridge events; answers with the records that are to come again."""
    return sqs_events.handle_events("start_pipeline", _compose, event, context)


@functools.cache
def _compose() -> sqs_events.Work:
    settings = StartPipelineSettings.from_environ(os.environ)
    starter = ExecutionStarter(
        sagemaker=aws.client("sagemaker"),
        ledger=Ledger(aws.client("dynamodb"), settings.ledger_table_name),
        datastore_id=settings.datastore_id,
        pipeline_name=settings.pipeline_name,
        start_non_primary=settings.start_non_primary,
    )

    def work(event: Mapping[str, Any]) -> str:
        return start_pipeline(event, starter)

    return work
