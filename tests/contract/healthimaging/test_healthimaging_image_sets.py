"""What a reader of image sets gets: the document, the frames, versions, search, and honest refusals."""

from __future__ import annotations

import json
import urllib.request
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
from botocore.exceptions import ClientError
from healthimaging_support import HealthImaging, ct_pixels, ct_slice, only_series, series, wait_for

from localcloud.healthimaging import errors


def test_metadata_is_shaped_like_the_real_documents(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    (image_set,) = ahi.import_files(store, "a/", series(1))["imageSetsSummary"]
    image_set_id = image_set["imageSetId"]
    answer = ahi.api.get_image_set_metadata(datastoreId=store, imageSetId=image_set_id)
    assert (answer["contentType"], answer["contentEncoding"]) == ("application/json", "gzip")
    document = ahi.metadata(store, image_set_id)
    assert list(document) == ["SchemaVersion", "DatastoreID", "ImageSetID", "Patient", "Study"]
    assert (document["SchemaVersion"], document["DatastoreID"], document["ImageSetID"]) == ("1.1", store, image_set_id)
    assert document["Patient"]["DICOM"] == {
        "PatientName": "Phantom^One",
        "PatientID": "P1",
        "PatientBirthDate": None,
        "PatientSex": "O",
    }
    assert document["Study"]["DICOM"]["AccessionNumber"] == "A1"
    the_series = only_series(document)
    assert the_series["DICOM"]["SeriesNumber"] == "1 "
    assert the_series["DICOM"]["Modality"] == "CT"
    (instance,) = the_series["Instances"].values()
    attributes = instance["DICOM"]
    assert attributes["TransferSyntaxUID"] == "1.2.840.10008.1.2.1"
    assert attributes["RescaleIntercept"] == "-1024 "
    assert attributes["PixelSpacing"] == ["0.5", "0.5 "]
    assert attributes["Rows"] == 70
    assert "PixelData" not in attributes
    assert instance["StoredTransferSyntaxUID"] == "1.2.840.10008.1.2.4.202"
    assert instance["ChecksumType"] == "DECOMPRESSED"


def test_a_frame_decodes_to_the_pixels_that_came_in(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    (image_set,) = ahi.import_files(store, "a/", series(1))["imageSetsSummary"]
    (instance,) = only_series(ahi.metadata(store, image_set["imageSetId"]))["Instances"].values()
    (frame,) = instance["ImageFrames"]
    data, content_type = ahi.frame(store, image_set["imageSetId"], frame["ID"])
    assert (content_type, len(data), data[:4]) == ("image/jph", frame["FrameSizeInBytes"], b"\xff\x4f\xff\x51")
    decoded = imagecodecs.htj2k_decode(data)
    assert np.array_equal(decoded, ct_pixels(1))
    assert frame["PixelDataChecksumFromBaseToFullResolution"] == [
        {"Width": 80, "Height": 70, "Checksum": zlib.crc32(ct_pixels(1).tobytes())}
    ]
    assert (frame["MinPixelValue"], frame["MaxPixelValue"]) == (-1000, 4599)


def test_a_jpeg_2000_store_keeps_frames_as_jpeg_2000(ahi: HealthImaging) -> None:
    store = ahi.datastore(losslessStorageFormat="JPEG_2000_LOSSLESS")
    (image_set,) = ahi.import_files(store, "a/", series(1))["imageSetsSummary"]
    (instance,) = only_series(ahi.metadata(store, image_set["imageSetId"]))["Instances"].values()
    assert instance["StoredTransferSyntaxUID"] == "1.2.840.10008.1.2.4.90"
    data, _ = ahi.frame(store, image_set["imageSetId"], instance["ImageFrames"][0]["ID"])
    assert np.array_equal(imagecodecs.jpeg2k_decode(data), ct_pixels(1))


def test_search_finds_by_each_attribute_and_sorts(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    ahi.import_files(store, "a/", series(2))
    other = {"study": "1.2.9", "series": "1.2.9.1", "PatientID": "P2", "AccessionNumber": "A9", "StudyID": "S9"}
    ahi.import_files(store, "b/", series(1, StudyDate="20260301", **other))

    def found(*values: dict[str, Any], operator: str = "EQUAL", **more: Any) -> list[str]:
        criteria = {"filters": [{"values": list(values), "operator": operator}], **more}
        answer = ahi.api.search_image_sets(datastoreId=store, searchCriteria=criteria)
        return [item["DICOMTags"]["DICOMPatientId"] for item in answer["imageSetsMetadataSummaries"]]

    everything = ahi.api.search_image_sets(datastoreId=store)
    assert [item["DICOMTags"]["DICOMPatientId"] for item in everything["imageSetsMetadataSummaries"]] == ["P2", "P1"]
    assert everything["imageSetsMetadataSummaries"][1]["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"] == 2
    assert found({"DICOMPatientId": "P1"}) == ["P1"]
    assert found({"DICOMAccessionNumber": "A9"}) == ["P2"]
    assert found({"DICOMStudyId": "S9"}) == ["P2"]
    assert found({"DICOMStudyInstanceUID": "1.2.3"}) == ["P1"]
    assert found({"DICOMSeriesInstanceUID": "1.2.9.1"}) == ["P2"]
    assert found({"isPrimary": True}) == ["P2", "P1"]
    assert found({"updatedAt": 0}, {"updatedAt": 4e9}, operator="BETWEEN") == ["P2", "P1"]
    dates = [{"DICOMStudyDateAndTime": {"DICOMStudyDate": date}} for date in ("20260201", "20260401")]
    assert found(*dates, operator="BETWEEN") == ["P2"]
    assert found({"isPrimary": True}, sort={"sortField": "DICOMStudyDateAndTime", "sortOrder": "ASC"}) == ["P1", "P2"]
    with pytest.raises(ahi.api.exceptions.ValidationException):
        found({"DICOMPatientId": "a"}, {"DICOMPatientId": "b"}, operator="BETWEEN")


def test_search_pages_hold_each_image_set_once(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    files = {f"{n}.dcm": ct_slice(1, series=f"1.2.3.{n}", SeriesNumber=str(n)) for n in range(1, 8)}
    ahi.import_files(store, "a/", files)
    pages = ahi.api.get_paginator("search_image_sets").paginate(datastoreId=store, PaginationConfig={"PageSize": 3})
    ids = [item["imageSetId"] for page in pages for item in page["imageSetsMetadataSummaries"]]
    assert (len(ids), len(set(ids))) == (7, 7)


def test_a_deleted_image_set_is_locked_then_gone_but_known(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    (image_set,) = ahi.import_files(store, "a/", series(1))["imageSetsSummary"]
    name = {"datastoreId": store, "imageSetId": image_set["imageSetId"]}
    deleting = ahi.api.delete_image_set(**name)
    assert (deleting["imageSetState"], deleting["imageSetWorkflowStatus"]) == ("LOCKED", "DELETING")
    wait_for(lambda: ahi.api.get_image_set(**name)["imageSetState"] == "DELETED", "DELETED")
    with pytest.raises(ahi.api.exceptions.ResourceNotFoundException):
        ahi.api.get_image_set_metadata(**name)
    assert ahi.api.search_image_sets(datastoreId=store)["imageSetsMetadataSummaries"] == []
    wait_for(lambda: "Image Set Deleted" in ahi.event_types(), "the event")
    (fresh,) = ahi.import_files(store, "b/", series(1))["imageSetsSummary"]
    assert (fresh["imageSetVersion"], fresh["isPrimary"]) == (1, True)
    assert fresh["imageSetId"] != image_set["imageSetId"]


def test_what_is_not_there_is_404(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    (image_set,) = ahi.import_files(store, "a/", series(1))["imageSetsSummary"]
    nothing = "0" * 32
    not_found = ahi.api.exceptions.ResourceNotFoundException
    calls = (
        lambda: ahi.api.get_datastore(datastoreId=nothing),
        lambda: ahi.api.get_dicom_import_job(datastoreId=store, jobId=nothing),
        lambda: ahi.api.get_image_set(datastoreId=store, imageSetId=nothing),
        lambda: ahi.metadata(store, image_set["imageSetId"], versionId="2"),
        lambda: ahi.frame(store, image_set["imageSetId"], nothing),
        lambda: ahi.api.get_image_set(datastoreId=nothing, imageSetId=image_set["imageSetId"]),
    )
    for call in calls:
        with pytest.raises(not_found):
            call()


def test_what_the_shapes_forbid_is_refused_on_the_wire(ahi: HealthImaging) -> None:
    """boto3 checks little of this itself, so ask without it."""
    store = ahi.datastore()
    bad = [
        ("GET", "/datastore/NOT-AN-ID", None),
        ("GET", "/datastore?maxResults=51", None),
        ("GET", "/datastore?maxResults=many", None),
        ("GET", "/datastore?datastoreStatus=GONE", None),
        ("POST", "/datastore", {}),
        ("POST", "/datastore", {"clientToken": "not a token"}),
        ("POST", "/datastore", {"clientToken": "t", "losslessStorageFormat": "PNG"}),
        ("POST", f"/startDICOMImportJob/datastore/{store}", {"clientToken": "t", "inputS3Uri": "s3://a/"}),
        ("POST", f"/datastore/{store}/imageSet/{'0' * 32}/getImageFrame", {"imageFrameInformation": {}}),
        ("POST", f"/datastore/{store}/searchImageSets", {"filters": []}),
        ("POST", f"/datastore/{store}/searchImageSets", []),
    ]
    for method, path, body in bad:
        status, headers, answer = _raw(ahi, method, path, body)
        assert (status, headers["x-amzn-ErrorType"]) == (400, "ValidationException"), path
        assert list(answer) == ["message"]
    assert _raw(ahi, "GET", "/nothing/here", None)[0] == 404


def test_what_is_not_built_is_refused_never_feigned(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    (image_set,) = ahi.import_files(store, "a/", series(1))["imageSetsSummary"]
    image_set_id = image_set["imageSetId"]
    refused = ahi.api.exceptions.ValidationException
    with pytest.raises(refused, match="not supported"):
        ahi.api.copy_image_set(
            datastoreId=store,
            sourceImageSetId=image_set_id,
            copyImageSetInformation={"sourceImageSet": {"latestVersionId": "1"}},
        )
    with pytest.raises(refused, match="not supported"):
        ahi.api.update_image_set_metadata(
            datastoreId=store,
            imageSetId=image_set_id,
            latestVersionId="1",
            updateImageSetMetadataUpdates={"revertToVersionId": "1"},
        )


def test_faults_on_demand(ahi: HealthImaging) -> None:
    store = ahi.datastore()
    ahi.service.faults.deliver("Image Set Created", 2)
    ahi.service.faults.deliver("Import Job In Progress", 0)
    (image_set,) = ahi.import_files(store, "a/", series(1))["imageSetsSummary"]
    image_set_id = image_set["imageSetId"]
    wait_for(lambda: "Import Job Completed" in ahi.event_types(), "the events")
    assert ahi.event_types().count("Image Set Created") == 2
    assert "Import Job In Progress" not in ahi.event_types()

    ahi.service.faults.fail("GetImageSet", errors.ThrottlingError("Rate exceeded"), times=1)
    with pytest.raises(ClientError) as throttled:
        ahi.api.get_image_set(datastoreId=store, imageSetId=image_set_id)
    assert throttled.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert ahi.api.get_image_set(datastoreId=store, imageSetId=image_set_id)["versionId"] == "1"

    ahi.service.faults.metadata_inconsistent_seconds = 3600
    with pytest.raises(ahi.api.exceptions.ConflictException, match="metadata is not consistent yet"):
        ahi.metadata(store, image_set_id)
    ahi.service.faults.metadata_inconsistent_seconds = 0

    (instance,) = only_series(ahi.metadata(store, image_set_id))["Instances"].values()
    frame_id = instance["ImageFrames"][0]["ID"]
    whole, _ = ahi.frame(store, image_set_id, frame_id)
    ahi.service.faults.flip_bit(frame_id, 8 * 200)
    damaged, _ = ahi.frame(store, image_set_id, frame_id)
    assert [index for index, pair in enumerate(zip(whole, damaged, strict=True)) if pair[0] != pair[1]] == [200]


def _raw(ahi: HealthImaging, method: str, path: str, body: Any) -> tuple[int, Any, dict[str, Any]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ahi.api.meta.endpoint_url + path, data=data, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.loads(error.read())
