"""An import does what HealthImaging's does: groups, versions, reports, announces, and never half."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from healthimaging_support import FAST, ROLE, HealthImaging, ct_slice, health_imaging, only_series, series, wait_for


def test_a_series_becomes_one_primary_image_set_and_the_folder_says_so(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    files = series(3) | {"notes.txt": b"not DICOM"}
    ahi.put("batch/", files)
    job_id = ahi.start_import(store, "batch/", jobName="batch-1")
    job = ahi.ended(store, job_id)
    assert job["outputS3Uri"] == f"s3://artifacts/imports/{store}-DicomImport-{job_id}/"
    summary = ahi.import_files(store, "none/", {})  # nothing there: completed, zero files
    assert (summary["numberOfScannedFiles"], summary["imageSetsSummary"]) == (0, [])

    manifest = json.loads(ahi.output(job, "job-output-manifest.json"))["jobSummary"]
    (image_set,) = manifest.pop("imageSetsSummary")
    folder = job["outputS3Uri"]
    assert manifest == {
        "jobId": job_id,
        "datastoreId": store,
        "inputS3Uri": "s3://ingest/batch/",
        "outputS3Uri": folder,
        "successOutputS3Uri": folder + "SUCCESS/",
        "failureOutputS3Uri": folder + "FAILURE/",
        "warningsOutputS3Uri": folder + "WARNING/",
        "numberOfScannedFiles": 4,
        "numberOfImportedFiles": 3,
        "numberOfFilesWithCustomerError": 1,
        "numberOfFilesWithServerError": 0,
        "numberOfGeneratedImageSets": 1,
    }
    image_set_id = image_set["imageSetId"]
    assert image_set == {
        "imageSetId": image_set_id,
        "imageSetVersion": 1,
        "isPrimary": True,
        "numberOfMatchedSOPInstances": 3,
    }
    assert ahi.lines(job, "SUCCESS/success.ndjson") == [
        {"inputFile": f"batch/{number}.dcm", "importResponse": {"imageSetId": image_set_id, "isPrimary": True}}
        for number in (1, 2, 3)
    ]
    assert ahi.lines(job, "FAILURE/failure.ndjson") == [
        {
            "inputFile": "batch/notes.txt",
            "exception": {"exceptionType": "ValidationException", "message": "DICOM attributes does not exist"},
        }
    ]


def test_events_come_in_order_with_the_real_details(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    ahi.put("b/", series(1))
    job = ahi.ended(store, ahi.start_import(store, "b/", jobName="batch-1"))
    wait_for(lambda: "Import Job Completed" in ahi.event_types(), "the completed event")
    assert ahi.event_types()[2:] == [
        "Import Job Submitted",
        "Import Job In Progress",
        "Image Set Created",
        "Import Job Completed",
    ]
    created, completed = ahi.events[-2:]
    image_set_id = created["detail"]["imageSetId"]
    arn = f"arn:aws:medical-imaging:us-east-1:123456789012:datastore/{store}"
    assert created["resources"] == [f"{arn}/imageset/{image_set_id}"]
    assert created["detail"] == {
        "imagingVersion": "1.0",
        "isPrimary": True,
        "imageSetVersion": "1",
        "datastoreId": store,
        "imageSetId": image_set_id,
        "imageSetState": "ACTIVE",
        "imageSetWorkflowStatus": "CREATED",
    }
    assert completed["resources"] == [arn]
    assert completed["detail"] == {
        "imagingVersion": "1.0",
        "datastoreId": store,
        "jobId": job["jobId"],
        "jobName": "batch-1",
        "jobStatus": "COMPLETED",
        "inputS3Uri": "s3://ingest/b/",
        "outputS3Uri": job["outputS3Uri"],
    }


def test_the_folder_is_complete_when_the_completed_event_comes(tmp_path: Path, s3: Any) -> None:
    seen: list[list[str]] = []

    def look(**event: Any) -> None:
        if event["detail_type"] == "Import Job Completed":
            prefix = event["detail"]["outputS3Uri"].removeprefix("s3://artifacts/")
            found = s3.list_objects_v2(Bucket="artifacts", Prefix=prefix)["Contents"]
            seen.append([item["Key"].removeprefix(prefix) for item in found])

    with health_imaging(tmp_path, s3, emit=look) as ahi:
        store = ahi.datastore()
        ahi.import_files(store, "b/", series(1))
        wait_for(lambda: seen, "the event")
    assert seen == [["SUCCESS/success.ndjson", "job-output-manifest.json"]]


def test_the_same_token_starts_one_job(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    first = ahi.start_import(store, "b/", clientToken="token")
    assert ahi.start_import(store, "b/", clientToken="token") == first
    with pytest.raises(ahi.api.exceptions.ConflictException):
        ahi.start_import(store, "other/", clientToken="token")
    assert ahi.start_import(ahi.datastore(), "b/", clientToken="token") != first


def test_later_slices_of_a_series_make_the_next_version_and_the_old_one_stays(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    (first,) = ahi.import_files(store, "a/", {"1.dcm": ct_slice(1)})["imageSetsSummary"]
    (second,) = ahi.import_files(store, "b/", {"2.dcm": ct_slice(2)})["imageSetsSummary"]
    image_set_id = first["imageSetId"]
    assert second == first | {"imageSetVersion": 2}
    assert len(only_series(ahi.metadata(store, image_set_id))["Instances"]) == 2
    assert len(only_series(ahi.metadata(store, image_set_id, versionId="1"))["Instances"]) == 1
    versions = ahi.api.list_image_set_versions(datastoreId=store, imageSetId=image_set_id)["imageSetPropertiesList"]
    assert [(item["versionId"], item["ImageSetWorkflowStatus"]) for item in versions] == [
        ("2", "UPDATED"),
        ("1", "CREATED"),
    ]
    wait_for(lambda: ahi.event_types().count("Import Job Completed") == 2, "both events")
    assert [
        event["detail"]["imageSetVersion"] for event in ahi.events if event["detail_type"] == "Image Set Updated"
    ] == ["2"]


def test_an_instance_sent_again_replaces_the_one_in_the_primary(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    ahi.import_files(store, "a/", series(2))
    (again,) = ahi.import_files(store, "b/", {"1.dcm": ct_slice(1, RescaleIntercept="-7")})["imageSetsSummary"]
    instances = only_series(ahi.metadata(store, again["imageSetId"]))["Instances"]
    assert [instances[uid]["DICOM"]["RescaleIntercept"].strip() for uid in sorted(instances)] == ["-7", "-1024"]


@pytest.mark.parametrize(
    "conflict",
    [
        {"PatientID": "P2"},
        {"StudyDate": "20260103"},
        {"AccessionNumber": "A2"},
        {"StudyID": "S2"},
        {"SeriesNumber": "2"},
        {"StudyInstanceUID": "1.2.4"},
    ],
    ids=lambda conflict: next(iter(conflict)),
)
def test_a_conflict_makes_a_non_primary_image_set_each_time(ahi: HealthImaging, conflict: dict[str, str]) -> None:
    store = ahi.datastore()
    (primary,) = ahi.import_files(store, "a/", series(1))["imageSetsSummary"]
    ids = set()
    for prefix in ("b/", "c/"):
        (other,) = ahi.import_files(store, prefix, {"2.dcm": ct_slice(2, **conflict)})["imageSetsSummary"]
        assert (other["isPrimary"], other["imageSetVersion"]) == (False, 1)
        ids.add(other["imageSetId"])
    assert len(ids | {primary["imageSetId"]}) == 3


def test_a_second_series_of_the_study_with_another_date_is_non_primary(ahi: HealthImaging) -> None:
    """Two series of the labelled CT data are exactly this."""
    store = ahi.datastore()
    files = {"1.dcm": ct_slice(1), "2.dcm": ct_slice(1, series="1.2.3.5", StudyDate="20260201")}
    summary = ahi.import_files(store, "a/", files)["imageSetsSummary"]
    assert [image_set["isPrimary"] for image_set in summary] == [True, False]


def test_hoisted_values_that_differ_are_kept_once_and_warned_of(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    ahi.put("a/", {"1.dcm": ct_slice(1), "2.dcm": ct_slice(2, Manufacturer="another")})
    job = ahi.ended(store, ahi.start_import(store, "a/"))
    (warned,) = ahi.lines(job, "WARNING/warning.ndjson")
    response = warned["importResponse"]
    assert warned["inputFile"] == "a/2.dcm"
    assert (response["imageSetVersion"], response["isPrimary"]) == (1, True)
    assert response["warnings"][0]["warning_reason_code"] == 45056
    assert [line["inputFile"] for line in ahi.lines(job, "SUCCESS/success.ndjson")] == ["a/1.dcm"]
    assert only_series(ahi.metadata(store, response["imageSetId"]))["DICOM"]["Manufacturer"] == "ahiflow"


def test_pixels_that_cannot_be_transcoded_are_kept_with_a_warning(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    ahi.put("a/", {"1.dcm": ct_slice(1, PixelData=b"\1\2\3\4")})
    job = ahi.ended(store, ahi.start_import(store, "a/"))
    (warned,) = ahi.lines(job, "WARNING/warning.ndjson")
    assert warned["importResponse"]["warnings"][0]["warning_reason_code"] == 45312
    image_set_id = warned["importResponse"]["imageSetId"]
    (instance,) = only_series(ahi.metadata(store, image_set_id))["Instances"].values()
    assert instance["StoredTransferSyntaxUID"] == "1.2.840.10008.1.2.1"
    (frame,) = instance["ImageFrames"]
    assert (frame["MinPixelValue"], frame["FrameSizeInBytes"]) == (None, 4)
    assert ahi.frame(store, image_set_id, frame["ID"]) == (b"\1\2\3\4", "application/octet-stream")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_files_per_job": 2}, "FILE_COUNTS_LIMIT"),
        ({"max_bytes_per_job": 20_000}, "FILE_SIZE_LIMIT"),
        ({"max_bytes_per_file": 1_000}, "FILE_SIZE_LIMIT"),
    ],
)
def test_a_job_beyond_a_quota_fails_and_imports_nothing(
    tmp_path: Path, s3: Any, limit: dict[str, int], message: str
) -> None:
    with health_imaging(tmp_path, s3, replace(FAST, **limit)) as ahi:
        store = ahi.datastore()
        ahi.put("a/", series(3))
        job = ahi.ended(store, ahi.start_import(store, "a/"))
        assert job["jobStatus"] == "FAILED"
        assert job["message"].startswith(message)
        assert ahi.api.search_image_sets(datastoreId=store)["imageSetsMetadataSummaries"] == []
        wait_for(lambda: "Import Job Failed" in ahi.event_types(), "the event")


def test_a_bucket_that_is_not_there_fails_the_job(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    answer = ahi.api.start_dicom_import_job(
        datastoreId=store, dataAccessRoleArn=ROLE, inputS3Uri="s3://nowhere/", outputS3Uri="s3://artifacts/"
    )
    job = ahi.ended(store, answer["jobId"])
    assert (job["jobStatus"], "NoSuchBucket" in job["message"]) == ("FAILED", True)


def test_jobs_are_listed_newest_first_by_status(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    ids = [ahi.start_import(store, f"{name}/", jobName=name) for name in ("a", "b", "c")]
    for job_id in ids:
        ahi.ended(store, job_id)
    pages = ahi.api.get_paginator("list_dicom_import_jobs").paginate(
        datastoreId=store, jobStatus="COMPLETED", PaginationConfig={"PageSize": 2}
    )
    assert [item["jobId"] for page in pages for item in page["jobSummaries"]] == ids[::-1]
    assert ahi.api.list_dicom_import_jobs(datastoreId=store, jobStatus="FAILED")["jobSummaries"] == []


def test_a_store_that_is_not_active_takes_no_import(tmp_path: Path, s3: Any) -> None:
    with health_imaging(tmp_path, s3, replace(FAST, datastore_creating_seconds=3600)) as ahi:
        store = ahi.api.create_datastore()["datastoreId"]
        with pytest.raises(ahi.api.exceptions.ConflictException):
            ahi.start_import(store, "a/")


def test_metadata_beyond_its_quota_is_a_failure_of_its_files(tmp_path: Path, s3: Any) -> None:
    with health_imaging(tmp_path, s3, replace(FAST, max_metadata_bytes=500)) as ahi:
        summary = ahi.import_files(ahi.datastore(), "a/", series(2))
        assert (summary["numberOfFilesWithCustomerError"], summary["imageSetsSummary"]) == (2, [])


def test_two_jobs_at_once_for_one_series_lose_no_slice(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    prefixes = [f"{number}/" for number in range(1, 7)]
    for number, prefix in enumerate(prefixes, 1):
        ahi.put(prefix, {"slice.dcm": ct_slice(number)})
    jobs = [ahi.start_import(store, prefix) for prefix in prefixes]
    assert {ahi.ended(store, job_id)["jobStatus"] for job_id in jobs} == {"COMPLETED"}
    (summary,) = ahi.api.search_image_sets(datastoreId=store)["imageSetsMetadataSummaries"]
    assert (summary["version"], summary["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"]) == (6, 6)


def test_an_instance_twice_in_one_job_is_stored_once(ahi: HealthImaging, tmp_path: Path) -> None:
    store = ahi.datastore()
    files = {"a.dcm": ct_slice(1, RescaleIntercept="1"), "b.dcm": ct_slice(1, RescaleIntercept="2")}
    summary = ahi.import_files(store, "a/", files)
    assert summary["numberOfImportedFiles"] == 2
    (image_set,) = summary["imageSetsSummary"]
    assert image_set["numberOfMatchedSOPInstances"] == 1
    (instance,) = only_series(ahi.metadata(store, image_set["imageSetId"]))["Instances"].values()
    assert instance["DICOM"]["RescaleIntercept"] == "2 "
    wait_for(lambda: len(list((tmp_path / "state").rglob("*.frames"))) == 1, "the other frames gone")


def test_logs_name_no_patient(ahi: HealthImaging, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    person = {"PatientName": "Unmistakable^Name", "PatientID": "UNMISTAKABLE-ID"}
    store = ahi.datastore()
    ahi.import_files(store, "a/", {"1.dcm": ct_slice(1, **person), "2.dcm": ct_slice(2, PixelData=b"\0", **person)})
    ahi.api.search_image_sets(datastoreId=store)
    own = [record.getMessage() for record in caplog.records if record.name.startswith(("localcloud", "pydicom"))]
    assert not [message for message in own if "unmistakable" in message.lower()]
