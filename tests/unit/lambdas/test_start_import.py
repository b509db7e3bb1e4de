from __future__ import annotations

import pytest
from function_events import event
from spine_world import BATCH_ID, World

from ahiflow import keys
from ahiflow.errors import InvalidRequestError, NotFoundError, ThrottledError, TransientError
from ahiflow.idempotency import derive_token
from lambdas.start_import.logic import start_import


def test_a_closed_batch_gets_one_import_job_however_often_its_event_comes(world: World) -> None:
    world.put_batch(studies=2)
    for _ in range(3):
        assert start_import(event("s3_object_created"), world.importer) == BATCH_ID
    assert world.healthimaging.calls == ["StartDICOMImportJob"]
    [job] = world.healthimaging.jobs.values()
    assert job["jobName"] == BATCH_ID
    assert job["inputS3Uri"] == f"s3://ingest-bucket/instances/{BATCH_ID}/"
    assert job["outputS3Uri"] == "s3://artifacts-bucket/imports/"
    assert list(world.healthimaging.by_token) == [derive_token("start-import", BATCH_ID)]
    batch = world.ledger.batch(BATCH_ID)
    assert batch is not None
    assert (batch.status, batch.import_job_id, batch.instances) == ("import-started", job["jobId"], 3)
    assert [(r.status, r.instances) for r in batch.refusals] == [(0xC000, 1)]
    [first], _ = world.ledger.study("1.2.0")
    assert (first.instances, first.series[0].modality) == (2, "CT")


def test_a_crash_after_the_job_was_started_starts_no_second_job(world: World) -> None:
    manifest = world.put_batch()
    started = world.importer._start_job(manifest, 1)  # and then the process died before the ledger was written
    start_import(event("s3_object_created"), world.importer)
    assert list(world.healthimaging.jobs) == [started]


@pytest.mark.parametrize(
    ("status", "code"),
    [(429, "ThrottlingException"), (402, "ServiceQuotaExceededException"), (409, "ConflictException")],
)
def test_what_passes_by_itself_brings_the_event_again(world: World, status: int, code: str) -> None:
    world.put_batch()
    world.healthimaging.fail_next("StartDICOMImportJob", status, code)
    with pytest.raises(TransientError):
        start_import(event("s3_object_created"), world.importer)
    batch = world.ledger.batch(BATCH_ID)
    assert batch is not None
    assert batch.status == "closed"


def test_a_refused_job_is_in_the_ledger_with_its_reason_and_can_be_tried_again(world: World) -> None:
    world.put_batch()
    world.healthimaging.fail_next("StartDICOMImportJob", 400, "ValidationException")
    with pytest.raises(InvalidRequestError) as raised:
        start_import(event("s3_object_created"), world.importer)
    assert "PATIENT" not in str(raised.value)
    batch = world.ledger.batch(BATCH_ID)
    assert batch is not None
    assert batch.status == "import-refused"
    assert "ValidationException" in str(batch.reason)
    start_import(event("s3_object_created"), world.importer)
    assert world.ledger.batch(BATCH_ID).status == "import-started"  # type: ignore[union-attr]


def test_a_batch_of_refusals_only_is_recorded_and_starts_nothing(world: World) -> None:
    world.put_batch(instances=0)
    start_import(event("s3_object_created"), world.importer)
    batch = world.ledger.batch(BATCH_ID)
    assert batch is not None
    assert (batch.status, world.healthimaging.calls) == ("nothing-to-import", [])


def test_a_manifest_that_breaks_its_schema_is_named_without_its_content(world: World) -> None:
    body = b'{"batch_id": "PATIENT^NAME"}'
    world.s3.put_object(Bucket="ingest-bucket", Key=keys.batch_manifest_key(BATCH_ID), Body=body)
    with pytest.raises(InvalidRequestError) as raised:
        start_import(event("s3_object_created"), world.importer)
    assert "PATIENT" not in str(raised.value)
    batch = world.ledger.batch(BATCH_ID)
    assert batch is not None
    assert (batch.status, "association_id" in str(batch.reason)) == ("unreadable", True)


def test_an_event_for_no_manifest_is_refused(world: World) -> None:
    with pytest.raises(NotFoundError):
        start_import(event("s3_object_created"), world.importer)
    other = event("s3_object_created")
    other["detail"]["object"]["key"] = "batches/README.txt"
    with pytest.raises(InvalidRequestError, match="not the key of a batch manifest"):
        start_import(other, world.importer)


def test_a_replay_starts_a_second_job_under_a_name_that_says_so(world: World) -> None:
    world.put_batch()
    start_import(event("s3_object_created"), world.importer)
    replay = {
        "id": "1",
        "source": "ahiflow",
        "detail-type": "Batch Replay Requested",
        "detail": {"batch_id": BATCH_ID, "attempt": 2},
    }
    start_import(replay, world.importer)
    start_import(replay, world.importer)
    assert [job["jobName"] for job in world.healthimaging.jobs.values()] == [BATCH_ID, f"{BATCH_ID}#2"]
    assert world.ledger.batch(BATCH_ID).attempt == 2  # type: ignore[union-attr]


def test_throttling_is_its_own_error(world: World) -> None:
    world.put_batch()
    world.healthimaging.fail_next("StartDICOMImportJob", 402, "ServiceQuotaExceededException")
    with pytest.raises(ThrottledError, match="as many are running as the quota allows"):
        start_import(event("s3_object_created"), world.importer)
