"""Buckets and the ledger table."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ahiflow.ledger.schema import TABLE
from localcloud.bootstrap.plan import Plan


def ensure_buckets(s3: Any, plan: Plan) -> None:
    """Make both buckets, versioned; the ingest bucket sends its events to EventBridge."""
    for bucket in (plan.names.ingest_bucket, plan.names.artifacts_bucket):
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=plan.names.ingest_bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def ensure_ledger(dynamodb: Any, plan: Plan) -> None:
    """Make the ledger table (docs/architecture.md, "Ledger table")."""
    try:
        dynamodb.describe_table(TableName=plan.names.ledger_table)
    except dynamodb.exceptions.ResourceNotFoundException:
        dynamodb.create_table(TableName=plan.names.ledger_table, **TABLE)
        waiter = dynamodb.get_waiter("table_exists")
        waiter.wait(TableName=plan.names.ledger_table, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
