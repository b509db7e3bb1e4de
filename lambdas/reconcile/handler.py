"""reconcile: an execution ended, or the schedule fired -> the ledger agrees with the services again."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ahiflow import aws, sqs_events
from ahiflow.ledger.store import Ledger
from ahiflow.settings import ReconcileSettings
from ahiflow.spine.batches import BatchImporter
from ahiflow.spine.executions import ExecutionNoter, ExecutionStarter
from ahiflow.spine.imports import ImportRecorder
from ahiflow.spine.sweep import Sweep
from lambdas.reconcile.logic import reconcile


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point. An SQS batch of EventBridge events; answers with the records that are to come again."""
    return sqs_events.handle_events("reconcile", _compose, event, context)


@functools.cache
def _compose() -> sqs_events.Work:
    settings = ReconcileSettings.from_environ(os.environ)
    s3, medical_imaging, sagemaker = aws.client("s3"), aws.client("medical-imaging"), aws.client("sagemaker")
    ledger = Ledger(aws.client("dynamodb"), settings.ledger_table_name)
    ingest, artifacts = settings.ingest_bucket_name, settings.artifacts_bucket_name
    datastore_id, pipeline_name = settings.datastore_id, settings.pipeline_name
    sweep = Sweep(
        importer=BatchImporter(s3, medical_imaging, ledger, ingest, artifacts, datastore_id, settings.import_role_arn),
        recorder=ImportRecorder(s3, medical_imaging, ledger, ingest, datastore_id),
        starter=ExecutionStarter(sagemaker, ledger, datastore_id, pipeline_name, settings.start_non_primary),
        noter=ExecutionNoter(sagemaker, s3, ledger, artifacts, pipeline_name),
    )

    def work(event: Mapping[str, Any]) -> str:
        return reconcile(event, sweep)

    return work
