"""`up`, `down` and `status` on a machine: idempotent, sticky ports, restart of what was killed, two side by side."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from localcloud_fixtures import LocalCloud, run, until

from localcloud import processes
from localcloud.lock import serving_pid


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    made = LocalCloud(tmp_path_factory.mktemp("up-down") / "state")
    try:
        made.up()
        yield made
    finally:
        made.down()


def test_up_again_says_so_and_changes_nothing(cloud: LocalCloud) -> None:
    before = cloud.environment
    assert cloud.up().stdout.startswith("already up")
    assert cloud.environment == before


def test_the_description_is_true(cloud: LocalCloud) -> None:
    described = cloud.environment
    assert processes.is_taken(described.dicom_port)
    datastore = cloud.client("medical-imaging").get_datastore(datastoreId=described.datastore_id)
    assert datastore["datastoreProperties"]["datastoreStatus"] == "ACTIVE"
    pipeline = cloud.client("sagemaker").describe_pipeline(PipelineName=described.pipeline_name)
    assert "${" not in pipeline["PipelineDefinition"]
    key = cloud.client("kms").describe_key(KeyId=described.shell["AHIFLOW_APPROVAL_KEY_ID"])["KeyMetadata"]
    assert (key["KeyUsage"], key["KeySpec"]) == ("SIGN_VERIFY", "ECC_NIST_P256")
    notification = cloud.client("s3").get_bucket_notification_configuration(Bucket=described.ingest_bucket)
    assert "EventBridgeConfiguration" in notification
    groups = cloud.client("sagemaker").list_model_package_groups()["ModelPackageGroupSummaryList"]
    assert [group["ModelPackageGroupName"] for group in groups] == [described.shell["AHIFLOW_MODEL_PACKAGE_GROUP_NAME"]]


@pytest.mark.parametrize("killed", ["localcloud", "storescp"])
def test_what_was_killed_is_started_again_where_it_was(cloud: LocalCloud, killed: str) -> None:
    before = cloud.environment
    secret = cloud.client("secretsmanager").get_secret_value(SecretId="ahiflow/pseudonym")["SecretString"]
    cloud.client("s3").put_object(Bucket=before.ingest_bucket, Key="instances/b/1.dcm", Body=b"x")
    cloud.kill(killed)
    assert run([sys.executable, "-m", "localcloud", "status", "--state", str(cloud.state)]).returncode == 1
    cloud.up()  # on the same ports
    after = cloud.environment
    assert after.processes[killed] != before.processes[killed]
    assert after.model_copy(update={"processes": {}}) == before.model_copy(update={"processes": {}})
    assert set(after.processes) == {"localcloud", "storescp"}
    assert cloud.client("s3").get_object(Bucket=after.ingest_bucket, Key="instances/b/1.dcm")["Body"].read() == b"x"
    kept = cloud.client("secretsmanager").get_secret_value(SecretId="ahiflow/pseudonym")["SecretString"]
    assert kept == secret
    assert run([sys.executable, "-m", "localcloud", "status", "--state", str(cloud.state)]).returncode == 0


def test_after_a_crash_reconcile_swept(cloud: LocalCloud) -> None:
    """The test before killed the cloud; five minutes until the scheduled sweep have not passed."""

    def sweeps() -> bool:
        events = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/ahiflow-reconcile")["events"]
        return any("START RequestId" in event["message"] for event in events)

    until(sweeps, "reconcile ran after the crash", seconds=60)


def test_every_function_starts_cold(cloud: LocalCloud) -> None:
    """The zips are complete and hold every import: a record that no function wants reaches each handler."""
    record = {"messageId": "1", "eventSource": "aws:sqs", "body": "{}", "attributes": {}, "messageAttributes": {}}
    functions = cloud.client("lambda").list_functions()["Functions"]
    assert len(functions) == 5
    for function in functions:
        payload = json.dumps({"Records": [record]}).encode()
        answer = cloud.client("lambda").invoke(FunctionName=function["FunctionName"], Payload=payload)["Payload"].read()
        for fault in (b"init failed", b"ImportError", b"ModuleNotFoundError", b"ConfigurationError"):
            assert fault not in answer, answer


def test_two_side_by_side_and_down_of_one(cloud: LocalCloud, tmp_path: Path) -> None:
    second = LocalCloud(tmp_path / "second")
    try:
        second.up()
        ours, theirs = cloud.environment, second.environment
        assert ours.endpoint_url != theirs.endpoint_url
        assert ours.dicom_port != theirs.dicom_port
        cloud.client("s3").put_object(Bucket=ours.ingest_bucket, Key="only-here", Body=b"")
        assert "Contents" not in second.client("s3").list_objects_v2(Bucket=theirs.ingest_bucket)
        pids = theirs.processes
        assert second.down().stdout.strip() == "down"
        assert not any(processes.is_alive(pid, name) for name, pid in pids.items())
        assert cloud.up().stdout.startswith("already up")
    finally:
        second.down()
    assert second.down().stdout.strip() == "nothing runs here"
    assert serving_pid(second.state) is None


def test_a_receiver_that_cannot_start_is_one_clear_error(tmp_path: Path) -> None:
    """A receiver that cannot start is named, with the end of its log; the next `up` finds the cloud and goes on."""
    second = LocalCloud(tmp_path / "broken")
    broken = run(
        [sys.executable, "-m", "localcloud", "up", "--state", str(second.state)], {"REQUIRE_CALLED_AE_TITLE": "perhaps"}
    )
    try:
        assert broken.returncode == 1
        assert "the receiver died" in broken.stderr
        assert "REQUIRE_CALLED_AE_TITLE" in broken.stderr
        second.up()
        assert processes.is_taken(second.environment.dicom_port)
    finally:
        second.down()
