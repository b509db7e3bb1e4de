"""record_import: an import job ended -> the ledger says what became of every instance."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ahiflow import aws, sqs_events
from ahiflow.ledger.store import Ledger
from ahiflow.settings import RecordImportSettings
from ahiflow.spine.imports import ImportRecorder
from lambdas.record_import.logic import record_import


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point. An SQS batch of EventBridge events; answers with the records that are to come again."""
    return sqs_events.handle_events("record_import", _compose, event, context)


@functools.cache
def _compose() -> sqs_events.Work:
    settings = RecordImportSettings.from_environ(os.environ)
    recorder = ImportRecorder(
        s3=aws.client("s3"),
        medical_imaging=aws.client("medical-imaging"),
        ledger=Ledger(aws.client("dynamodb"), settings.ledger_table_name),
        ingest_bucket_name=settings.ingest_bucket_name,
        datastore_id=settings.datastore_id,
    )

    def work(event: Mapping[str, Any]) -> str:
        return record_import(event, recorder)

    return work
