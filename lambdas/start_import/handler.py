"""start_import: a batch manifest was created -> StartDICOMImportJob."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from ahiflow import aws, sqs_events
from ahiflow.ledger.store import Ledger
from ahiflow.settings import StartImportSettings
from ahiflow.spine.batches import BatchImporter
from lambdas.start_import.logic import start_import


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Entry point. An SQS batch of EventBridge events; answers with the records that are to come again."""
    return sqs_events.handle_events("start_import", _compose, event, context)


@functools.cache
def _compose() -> sqs_events.Work:
    settings = StartImportSettings.from_environ(os.environ)
    importer = BatchImporter(
        s3=aws.client("s3"),
        medical_imaging=aws.client("medical-imaging"),
        ledger=Ledger(aws.client("dynamodb"), settings.ledger_table_name),
        ingest_bucket_name=settings.ingest_bucket_name,
        artifacts_bucket_name=settings.artifacts_bucket_name,
        datastore_id=settings.datastore_id,
        import_role_arn=settings.import_role_arn,
    )

    def work(event: Mapping[str, Any]) -> str:
        return start_import(event, importer)

    return work
