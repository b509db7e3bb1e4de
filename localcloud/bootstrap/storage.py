"""Buckets and the ledger table."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from localcloud.bootstrap.plan import Plan


def ensure_buckets(s3: Any, plan: Plan) -> None:
    """Make both buckets, versioned; the ingest bucket sends its events to EventBridge."""
    for bucket in (plan.ingest_bucket, plan.artifacts_bucket):
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=plan.ingest_bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def ensure_ledger(dynamodb: Any, plan: Plan) -> None:
    """Make the ledger table (docs/architecture.md, "Ledger table")."""
    try:
        dynamodb.describe_table(TableName=plan.ledger_table)
    except dynamodb.exceptions.ResourceNotFoundException:
        _create_ledger(dynamodb, plan.ledger_table)


def _create_ledger(dynamodb: Any, table: str) -> None:
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "kind", "updated_at")
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-kind",
                "KeySchema": [
                    {"AttributeName": "kind", "KeyType": "HASH"},
                    {"AttributeName": "updated_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
