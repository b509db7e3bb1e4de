from __future__ import annotations

import pytest
from function_events import event
from spine_world import BATCH_ID, IMAGE_SET_ID, World

from ahiflow.errors import InvalidRequestError, MalformedMetadataError, NotYetConsistentError
from ahiflow.ledger.schema import BatchItem, ImportJobItem
from lambdas.record_import.logic import record_import


def started(world: World) -> str:
    [job_id] = world.healthimaging.jobs
    return job_id


def ended_event(job_id: str, failed: bool = False) -> dict[str, object]:
    ended = event("import_job_failed" if failed else "import_job_completed")
    ended["detail"]["jobId"] = job_id
    return ended


def batch(world: World) -> BatchItem:
    found = world.ledger.batch(BATCH_ID)
    assert found is not None
    return found


@pytest.mark.parametrize("folder_form", [False, True], ids=["uri as asked for", "uri of the job's folder"])
def test_what_became_of_every_instance_is_in_the_ledger(world: World, folder_form: bool) -> None:
    manifest = world.put_batch(instances=4, studies=2)
    world.importer.start(BATCH_ID)
    job_id = started(world)
    world.end_job(job_id, manifest, fail=1, folder_form=folder_form)
    for _ in range(2):
        assert record_import(ended_event(job_id), world.recorder) == BATCH_ID
    job = world.ledger.import_job(job_id)
    assert job is not None
    assert (job.status, job.scanned, job.imported, job.failed) == ("COMPLETED", 4, 3, 1)
    assert job.warnings == {"InvalidOffsetTable": 1}
    [failure] = job.failures
    assert (failure.sop_instance_uid, failure.study_instance_uid) == ("1.2.3.0", "1.2.0")
    assert failure.reason == "ValidationException: DICOM attributes does not exist"
    assert batch(world).status == "partly-imported"
    assert "1 of 4 instances" in str(batch(world).reason)
    image_sets = [world.ledger.study(study)[1] for study in ("1.2.0", "1.2.1")]
    found = [(s.image_set_id, s.image_set_version_id, s.instances, s.is_primary) for [s] in image_sets]
    assert found == [(IMAGE_SET_ID, "1", 1, True), (IMAGE_SET_ID, "1", 2, True)]


def test_a_completed_job_that_imported_nothing_is_a_failed_import(world: World) -> None:
    manifest = world.put_batch()
    world.importer.start(BATCH_ID)
    world.end_job(started(world), manifest, fail=3)
    record_import(ended_event(started(world)), world.recorder)
    assert batch(world).status == "import-failed"
    assert "3 of 3" in str(batch(world).reason)


def test_a_late_manifest_brings_the_event_again(world: World) -> None:
    world.put_batch()
    world.importer.start(BATCH_ID)
    world.healthimaging.jobs[started(world)]["jobStatus"] = "COMPLETED"
    with pytest.raises(NotYetConsistentError):
        record_import(ended_event(started(world)), world.recorder)
    assert batch(world).status == "import-started"


def test_a_failed_job_is_recorded_with_its_message(world: World) -> None:
    world.put_batch()
    world.importer.start(BATCH_ID)
    world.healthimaging.jobs[started(world)] |= {"jobStatus": "FAILED", "message": "FILE_COUNTS_LIMIT exceeded"}
    record_import(ended_event(started(world), failed=True), world.recorder)
    assert (batch(world).status, batch(world).reason) == ("import-failed", "FILE_COUNTS_LIMIT exceeded")


def test_an_instance_that_the_job_does_not_mention_is_reported_as_failed(world: World) -> None:
    manifest = world.put_batch(instances=3)
    world.importer.start(BATCH_ID)
    without_last = manifest.model_copy(update={"instances": manifest.instances[:2]})
    world.end_job(started(world), without_last)
    record_import(ended_event(started(world)), world.recorder)
    job = world.ledger.import_job(started(world))
    assert job is not None
    assert [failure.sop_instance_uid for failure in job.failures] == ["1.2.3.2"]
    assert batch(world).status == "partly-imported"


def test_the_record_may_come_before_start_import_has_written_anything(world: World) -> None:
    manifest = world.put_batch()
    job_id = world.importer._start_job(manifest, 1)
    world.end_job(job_id, manifest)
    record_import(ended_event(job_id), world.recorder)
    world.importer.start(BATCH_ID)
    assert (batch(world).status, batch(world).import_job_id, batch(world).instances) == ("imported", job_id, 3)
    assert world.healthimaging.calls.count("StartDICOMImportJob") == 1


def test_a_job_that_somebody_else_started_keeps_its_counts(world: World) -> None:
    manifest = world.put_batch()
    job_id = world.importer._start_job(manifest, 1)
    world.healthimaging.jobs[job_id]["jobName"] = "by-hand"
    world.end_job(job_id, manifest)
    assert record_import(ended_event(job_id), world.recorder) == job_id
    job = world.ledger.import_job(job_id)
    assert isinstance(job, ImportJobItem)
    assert (job.batch_id, job.imported) == (None, 3)


def test_python_style_booleans_of_the_guide_are_read_and_other_text_is_refused(world: World) -> None:
    manifest = world.put_batch(instances=1)
    world.importer.start(BATCH_ID)
    job_id = started(world)
    world.end_job(job_id, manifest)
    key = f"imports/bbc4f3cccbae4095a34170fddc19b13d-DicomImport-{job_id}/SUCCESS/success.ndjson"
    response = f'{{"imageSetId":"{IMAGE_SET_ID}","isPrimary": True}}'
    line = f'{{"inputFile":"{manifest.instances[0].key}","importResponse":{response}}}\n'
    world.s3.put_object(Bucket="artifacts-bucket", Key=key, Body=line)
    record_import(ended_event(job_id), world.recorder)
    world.s3.put_object(Bucket="artifacts-bucket", Key=key, Body="PATIENT^NAME")
    with pytest.raises(MalformedMetadataError) as raised:
        record_import(ended_event(job_id), world.recorder)
    assert "line 1" in str(raised.value)
    assert "PATIENT" not in str(raised.value)


def test_an_event_of_another_data_store_is_refused(world: World) -> None:
    other = event("import_job_completed")
    other["detail"]["datastoreId"] = "0" * 32
    with pytest.raises(InvalidRequestError):
        record_import(other, world.recorder)
