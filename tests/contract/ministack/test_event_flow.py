"""What the routes rely on: S3 put -> rule -> queue -> function, dead letters, events of our own services."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from localcloud_fixtures import BareCloud, until

from ahiflow.routes import FUNCTIONS
from config import STAGES
from localcloud.bootstrap import functions, routes, storage
from localcloud.bootstrap.plan import Plan

PLAN = Plan(STAGES["local"], "123456789012")

# Writes each message's event, and what it sees of its environment, to the artifacts bucket; fails what is named "bad".
HANDLER = """
import json, os
import boto3

def handler(event, context):
    s3 = boto3.client("s3")
    failed = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        text = json.dumps({"event": body, "function": context.function_name, "environment": dict(os.environ)})
        s3.put_object(Bucket=%r, Key="seen/" + record["messageId"], Body=text)
        if "bad" in json.dumps(body["detail"]):
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
"""


@pytest.fixture(scope="module")
def deployed(bare_cloud: BareCloud, tmp_path_factory: pytest.TempPathFactory) -> BareCloud:
    """Buckets, functions of this test's code, queues, rules and mappings, made twice: the bootstrap is idempotent."""
    zips = tmp_path_factory.mktemp("zips")
    for function in FUNCTIONS:
        (zips / f"{function}.zip").write_bytes(_zip(function))
    variables = PLAN.settings("0" * 32, "key") | bare_cloud.variables
    for _ in range(2):
        storage.ensure_buckets(bare_cloud.client("s3"), PLAN)
        functions.ensure_functions(bare_cloud.client("lambda"), PLAN, zips, variables)
        routes.ensure_queues(bare_cloud.client("sqs"), PLAN)
        routes.ensure_rules(bare_cloud.client("events"), PLAN, "0" * 32)
        routes.ensure_mappings(bare_cloud.client("lambda"), PLAN)
    return bare_cloud


def test_a_batch_manifest_reaches_start_import_once(deployed: BareCloud) -> None:
    s3 = deployed.client("s3")
    s3.put_object(Bucket=PLAN.names.ingest_bucket, Key="instances/b1/1.2.3.dcm", Body=b"x")
    s3.put_object(Bucket=PLAN.names.ingest_bucket, Key="batches/b1.json", Body=b"{}")
    found = until(lambda: _seen(s3, "batches/b1.json"), "start_import saw the manifest")
    assert len(found) == 1
    seen = found[0]
    assert seen["function"] == "ahiflow-start-import"
    event = seen["event"]
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert event["detail"]["bucket"]["name"] == PLAN.names.ingest_bucket
    assert event["detail"]["object"]["size"] == 2
    assert not _seen(s3, "instances/b1")


def test_a_function_gets_its_settings_and_reaches_the_local_cloud(deployed: BareCloud) -> None:
    s3 = deployed.client("s3")
    s3.put_object(Bucket=PLAN.names.ingest_bucket, Key="batches/settings.json", Body=b"{}")
    environment = until(lambda: _seen(s3, "batches/settings.json"), "start_import saw the manifest")[0]["environment"]
    assert environment["LEDGER_TABLE_NAME"] == "ahiflow-ledger"
    assert environment["INGEST_BUCKET_NAME"] == PLAN.names.ingest_bucket
    assert environment["AWS_DISABLE_HOST_PREFIX_INJECTION"] == "true"
    assert environment["AWS_ENDPOINT_URL_MEDICAL_IMAGING"] == deployed.variables["AWS_ENDPOINT_URL"]
    assert environment["POWERTOOLS_SERVICE_NAME"] == "start_import"
    assert "SERVING_ROLE_ARN" not in environment


def test_events_of_our_own_services_follow_the_routes(deployed: BareCloud) -> None:
    s3, imaging = deployed.client("s3"), deployed.client("medical-imaging")
    queue = _queue(deployed, "own-events")
    events = deployed.client("events")
    events.put_rule(Name="own", EventPattern=json.dumps({"source": ["aws.medical-imaging"]}))
    events.put_targets(Rule="own", Targets=[{"Id": "1", "Arn": PLAN.names.queue_arn("own-events")}])
    imaging.create_datastore(datastoreName="one", clientToken="t")
    received = until(lambda: _receive(deployed, queue), "the event is in the queue")[0]
    event = json.loads(received["Body"])
    assert event["source"] == "aws.medical-imaging"
    assert event["detail-type"] == "Data Store Created"
    assert event["account"] == "123456789012"
    assert event["region"] == "us-east-1"
    assert event["resources"] == ["arn:aws:medical-imaging:us-east-1:123456789012:datastore/" + "0" * 32]
    assert event["detail"]["buckets"] == sorted(bucket["Name"] for bucket in s3.list_buckets()["Buckets"])


def test_only_the_host_may_put_events_of_aws(deployed: BareCloud) -> None:
    entry = {"Source": "aws.sagemaker", "DetailType": "SageMaker Model Package State Change", "Detail": "{}"}
    answer = deployed.client("events").put_events(Entries=[entry])
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"


def test_what_keeps_failing_becomes_a_dead_letter_and_the_rest_goes_on(deployed: BareCloud) -> None:
    s3, sqs = deployed.client("s3"), deployed.client("sqs")
    queue = sqs.get_queue_url(QueueName="ahiflow-start-import")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    s3.put_object(Bucket=PLAN.names.ingest_bucket, Key="batches/bad.json", Body=b"{}")
    s3.put_object(Bucket=PLAN.names.ingest_bucket, Key="batches/good.json", Body=b"{}")
    dead = sqs.get_queue_url(QueueName="ahiflow-start-import-dlq")["QueueUrl"]
    letters = until(lambda: _receive(deployed, dead), "a dead letter", seconds=60)
    assert json.loads(letters[0]["Body"])["detail"]["object"]["key"] == "batches/bad.json"
    assert len(_seen(s3, "batches/good.json")) == 1
    counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0"
    assert json.loads(counts["RedrivePolicy"])["maxReceiveCount"] == routes.MAXIMUM_RECEIVES


def test_rules_queues_and_mappings_are_there_once(deployed: BareCloud) -> None:
    rules = deployed.client("events").list_rules(NamePrefix="ahiflow-")["Rules"]
    assert len(rules) == len(routes.ROUTES)
    mappings = deployed.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    names = [mapping["FunctionArn"].rpartition(":")[2] for mapping in mappings]
    assert sorted(names) == sorted(map(PLAN.names.unit, FUNCTIONS))
    queues = deployed.client("sqs").list_queues(QueueNamePrefix="ahiflow-")["QueueUrls"]
    assert len(queues) == 2 * len(FUNCTIONS)


def _zip(function: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("lambdas/__init__.py", "")
        archive.writestr(f"lambdas/{function}/__init__.py", "")
        archive.writestr(f"lambdas/{function}/handler.py", HANDLER % PLAN.names.artifacts_bucket)
    return buffer.getvalue()


def _seen(s3: Any, key: str) -> list[dict[str, Any]]:
    listed = s3.list_objects_v2(Bucket=PLAN.names.artifacts_bucket, Prefix="seen/").get("Contents", [])
    keys = [item["Key"] for item in listed]
    documents = [json.loads(s3.get_object(Bucket=PLAN.names.artifacts_bucket, Key=one)["Body"].read()) for one in keys]
    return [one for one in documents if one["event"].get("detail", {}).get("object", {}).get("key", "").startswith(key)]


def _queue(cloud: BareCloud, name: str) -> str:
    return str(cloud.client("sqs").create_queue(QueueName=name)["QueueUrl"])


def _receive(cloud: BareCloud, url: str) -> list[dict[str, Any]]:
    return list(cloud.client("sqs").receive_message(QueueUrl=url).get("Messages", []))
