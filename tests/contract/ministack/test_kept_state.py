"""What is still there after ``kill -9``, also on another port."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from localcloud_fixtures import BareCloud, until

from ahiflow.errors import ConfigurationError
from config import STAGES
from localcloud.bootstrap import keys, routes, storage
from localcloud.bootstrap.plan import Plan

PLAN = Plan(STAGES["local"], "123456789012")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[BareCloud]:
    cloud = BareCloud(tmp_path / "state", services=("none",))
    cloud.start()
    yield cloud
    if cloud.process is not None and cloud.process.poll() is None:
        cloud.stop()


def test_objects_keys_secret_ledger_and_messages_survive_a_kill(cloud: BareCloud) -> None:
    storage.ensure_buckets(cloud.client("s3"), PLAN)
    storage.ensure_ledger(cloud.client("dynamodb"), PLAN)
    routes.ensure_queues(cloud.client("sqs"), PLAN)
    keys.ensure_roles(cloud.client("iam"), PLAN)
    keys.ensure_pseudonym_key(cloud.client("secretsmanager"), PLAN, cloud.state)
    key = keys.ensure_approval_key(cloud.client("kms"), PLAN)
    secret = cloud.client("secretsmanager").get_secret_value(SecretId=PLAN.names.pseudonym_secret)["SecretString"]
    digest = bytes(range(32))
    signature = cloud.client("kms").sign(
        KeyId=key, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
    )["Signature"]
    item = {"pk": {"S": "BATCH#1"}, "sk": {"S": "BATCH"}, "kind": {"S": "batch"}, "updated_at": {"S": "now"}}
    cloud.client("dynamodb").put_item(TableName=PLAN.names.ledger_table, Item=item)
    url = cloud.client("sqs").get_queue_url(QueueName="ahiflow-reconcile-dlq")["QueueUrl"]
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="left over")
    until(lambda: b"left over" in (cloud.state / "ministack" / "sqs.json").read_bytes(), "the message is kept")
    until(lambda: b"BATCH#1" in (cloud.state / "ministack" / "dynamodb.json").read_bytes(), "the item is kept")
    # Objects are kept at once, not by the snapshots: nothing is waited for after this.
    instance = {"Bucket": PLAN.names.ingest_bucket, "Key": "instances/b/1.dcm"}
    first = cloud.client("s3").put_object(**instance, Body=b"one")["VersionId"]
    cloud.client("s3").put_object(**instance, Body=b"two")
    cloud.kill()

    cloud.start(on_another_port=True)

    s3 = cloud.client("s3")
    assert s3.get_object(**instance)["Body"].read() == b"two"
    assert s3.get_object(**instance, VersionId=first)["Body"].read() == b"one"
    assert s3.get_bucket_versioning(Bucket=PLAN.names.ingest_bucket)["Status"] == "Enabled"
    assert keys.ensure_approval_key(cloud.client("kms"), PLAN) == key
    verified = cloud.client("kms").verify(
        KeyId=key, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256", Signature=signature
    )
    assert verified["SignatureValid"]
    keys.ensure_pseudonym_key(cloud.client("secretsmanager"), PLAN, cloud.state)
    kept = cloud.client("secretsmanager").get_secret_value(SecretId=PLAN.names.pseudonym_secret)["SecretString"]
    assert kept == secret
    assert cloud.client("dynamodb").scan(TableName=PLAN.names.ledger_table)["Items"] == [item]
    by_kind = cloud.client("dynamodb").query(
        TableName=PLAN.names.ledger_table,
        IndexName="by-kind",
        KeyConditionExpression="kind = :kind",
        ExpressionAttributeValues={":kind": {"S": "batch"}},
    )
    assert by_kind["Items"] == [item]
    role = cloud.client("iam").get_role(RoleName="ahiflow-import-us-east-1")["Role"]
    assert role["Arn"] == PLAN.names.role_arn("import")
    url = cloud.client("sqs").get_queue_url(QueueName="ahiflow-reconcile-dlq")["QueueUrl"]
    assert f":{cloud.port}/" in url
    assert cloud.client("sqs").receive_message(QueueUrl=url)["Messages"][0]["Body"] == "left over"


def test_an_orderly_end_keeps_the_last_moment_and_leaves_no_marker(cloud: BareCloud) -> None:
    assert (cloud.state / "running").exists()
    storage.ensure_ledger(cloud.client("dynamodb"), PLAN)
    assert cloud.stop() == 0
    assert not (cloud.state / "running").exists()
    assert not (cloud.state / "serve.json").exists()
    cloud.start()
    assert cloud.client("dynamodb").list_tables()["TableNames"] == [PLAN.names.ledger_table]


def test_the_pseudonym_key_is_private_random_and_outlives_the_emulators_memory(cloud: BareCloud) -> None:
    client = cloud.client("secretsmanager")
    keys.ensure_pseudonym_key(client, PLAN, cloud.state)
    value = client.get_secret_value(SecretId=PLAN.names.pseudonym_secret)["SecretString"]
    assert len(bytes.fromhex(value)) == 32
    assert stat.S_IMODE((cloud.state / "pseudonym.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(cloud.state.stat().st_mode) == 0o700
    client.delete_secret(SecretId=PLAN.names.pseudonym_secret, ForceDeleteWithoutRecovery=True)
    keys.ensure_pseudonym_key(client, PLAN, cloud.state)
    assert client.get_secret_value(SecretId=PLAN.names.pseudonym_secret)["SecretString"] == value
    client.put_secret_value(SecretId=PLAN.names.pseudonym_secret, SecretString="another")
    with pytest.raises(ConfigurationError, match="differ"):
        keys.ensure_pseudonym_key(client, PLAN, cloud.state)


def test_damaged_keys_stop_the_start_and_a_damaged_ledger_does_not(cloud: BareCloud) -> None:
    storage.ensure_ledger(cloud.client("dynamodb"), PLAN)
    keys.ensure_approval_key(cloud.client("kms"), PLAN)
    cloud.stop()
    kept = cloud.state / "ministack"
    (kept / "dynamodb.json").write_bytes((kept / "dynamodb.json").read_bytes()[:50])
    cloud.start()
    assert cloud.client("dynamodb").list_tables()["TableNames"] == []
    cloud.stop()
    (kept / "kms.json").write_bytes((kept / "kms.json").read_bytes()[:50])
    with pytest.raises(AssertionError, match="damaged and holds keys"):
        cloud.start()


def test_an_object_that_cannot_be_written_is_refused(cloud: BareCloud) -> None:
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="one")
    # A file where the bucket's folder must be: writing fails as it does on a full disk (root ignores permissions).
    folder = cloud.state / "s3" / "123456789012" / "one"
    folder.rmdir()
    folder.write_text("")
    with pytest.raises(s3.exceptions.ClientError) as refused:
        s3.put_object(Bucket="one", Key="a/b", Body=b"x")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_two_servers_do_not_share_a_state_directory(cloud: BareCloud) -> None:
    second = BareCloud(cloud.state, services=("none",))
    with pytest.raises(AssertionError, match="another local cloud uses"):
        second.start()
    assert json.loads((cloud.state / "serve.json").read_text())["pid"] == cloud.process.pid  # type: ignore[union-attr]
