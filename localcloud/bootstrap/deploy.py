"""Everything, in the order in which one thing needs another. Idempotent: it runs at every start."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from ahiflow.errors import WorkFailedError
from ahiflow.routes import ROUTES
from localcloud.bootstrap import functions, imaging, keys, learning, routes, storage
from localcloud.bootstrap.plan import Plan
from localcloud.report import Deployment
from localcloud.shell import aws_variables

ROOT: Final = Path(__file__).resolve().parents[2]
ZIPS: Final = ROOT / "build" / "assets" / "lambdas-local"
PIPELINE: Final = ROOT / "pipeline" / "definition" / "pipeline.json"

Aws = Callable[[str], Any]


def deploy(plan: Plan, aws: Aws, *, state: Path, endpoint_url: str) -> Deployment:
    """Make or update everything the system needs. Raises AhiflowError naming what could not be made."""
    document = learning.definition(PIPELINE, plan)
    with _made("the buckets"):
        storage.ensure_buckets(aws("s3"), plan)
    with _made("the ledger table"):
        storage.ensure_ledger(aws("dynamodb"), plan)
    with _made("the keys and roles"):
        keys.ensure_roles(aws("iam"), plan)
        keys.ensure_pseudonym_key(aws("secretsmanager"), plan, state)
        approval_key_arn = keys.ensure_approval_key(aws("kms"), plan)
    with _made("the data store"):
        datastore_id = imaging.ensure_datastore(aws("medical-imaging"), plan)
    with _made("the pipeline"):
        learning.ensure_model_package_group(aws("sagemaker"), plan)
        learning.ensure_pipeline(aws("sagemaker"), plan, document)
    with _made("the functions"):
        variables = plan.settings(datastore_id, approval_key_arn)
        variables |= aws_variables(endpoint_url, plan.account_id, plan.region)
        functions.ensure_functions(aws("lambda"), plan, ZIPS, variables)
    with _made("the routes"):
        routes.ensure_queues(aws("sqs"), plan)
        routes.ensure_rules(aws("events"), plan, datastore_id)
        routes.ensure_mappings(aws("lambda"), plan)
    return _describe(plan, datastore_id, approval_key_arn)


def request_sweep(plan: Plan, aws: Aws) -> None:
    """Give reconcile the event of its schedule now: work may have been lost, or the ledger is empty."""
    sweep = next(route for route in ROUTES if route.schedule is not None)
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": plan.account_id,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": plan.region,
        "resources": [plan.names.rule_arn(sweep.name)],
        "detail": {},
    }
    with _made("the sweep after a crash"):
        sqs = aws("sqs")
        url = sqs.get_queue_url(QueueName=plan.names.unit(sweep.function))["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))


def _describe(plan: Plan, datastore_id: str, approval_key_arn: str) -> Deployment:
    return Deployment(
        region=plan.region,
        datastore_id=datastore_id,
        ingest_bucket=plan.names.ingest_bucket,
        artifacts_bucket=plan.names.artifacts_bucket,
        ledger_table=plan.names.ledger_table,
        pipeline_name=plan.config.pipeline_name,
        model_package_group_name=plan.config.model_package_group_name,
        endpoint_name=plan.config.endpoint_name,
        approval_key_id=approval_key_arn,
        pseudonym_secret_id=plan.names.pseudonym_secret,
        queue_prefix=plan.config.resource_prefix,
        called_ae_title=plan.config.called_ae_title,
    )


@contextmanager
def _made(what: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise WorkFailedError(f"{what} could not be made: {error}") from error
