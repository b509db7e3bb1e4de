"""Data stores live as the service's do: created and deleted with time, found by pages, guarded while in use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from healthimaging_support import FAST, HealthImaging, health_imaging, series, wait_for


def test_a_store_is_creating_then_active_and_says_so_on_the_bus(ahi: HealthImaging) -> None:
    created = ahi.api.create_datastore(datastoreName="tests", tags={"team": "ct"})
    assert created["datastoreStatus"] == "CREATING"
    datastore_id = created["datastoreId"]
    wait_for(lambda: ahi.datastore_status(datastore_id) == "ACTIVE", "ACTIVE")
    properties = ahi.api.get_datastore(datastoreId=datastore_id)["datastoreProperties"]
    assert properties["losslessStorageFormat"] == "HTJ2K"
    assert ahi.api.list_tags_for_resource(resourceArn=properties["datastoreArn"])["tags"] == {"team": "ct"}
    wait_for(lambda: len(ahi.events) == 2, "two events")
    created_event = ahi.events[1]
    assert created_event["source"] == "aws.medical-imaging"
    assert created_event["detail_type"] == "Data Store Created"
    assert created_event["resources"] == [properties["datastoreArn"]]
    assert created_event["detail"] == {
        "imagingVersion": "1.0",
        "datastoreId": datastore_id,
        "datastoreName": "tests",
        "datastoreStatus": "ACTIVE",
    }


def test_the_same_token_creates_one_store(ahi: HealthImaging) -> None:
    first = ahi.api.create_datastore(datastoreName="a", clientToken="token")["datastoreId"]
    assert ahi.api.create_datastore(datastoreName="a", clientToken="token")["datastoreId"] == first
    with pytest.raises(ahi.api.exceptions.ConflictException):
        ahi.api.create_datastore(datastoreName="b", clientToken="token")


def test_stores_are_listed_by_page_and_status(ahi: HealthImaging) -> None:
    ids = [ahi.datastore() for _ in range(5)]
    pages = ahi.api.get_paginator("list_datastores").paginate(
        datastoreStatus="ACTIVE", PaginationConfig={"PageSize": 2}
    )
    listed = [[item["datastoreId"] for item in page["datastoreSummaries"]] for page in pages]
    assert [len(page) for page in listed] == [2, 2, 1]
    assert [datastore_id for page in listed for datastore_id in page] == ids


def test_a_token_of_another_listing_is_refused(ahi: HealthImaging) -> None:
    for _ in range(2):
        ahi.datastore()
    token = ahi.api.list_datastores(maxResults=1)["nextToken"]
    with pytest.raises(ahi.api.exceptions.ValidationException):
        ahi.api.list_datastores(maxResults=1, datastoreStatus="ACTIVE", nextToken=token)
    with pytest.raises(ahi.api.exceptions.ValidationException):
        ahi.api.list_datastores(nextToken="made-up")


def test_only_an_empty_store_is_deleted_and_stays_visible(ahi: HealthImaging) -> None:
    datastore_id = ahi.datastore()
    (image_set,) = ahi.import_files(datastore_id, "a/", series(1))["imageSetsSummary"]
    with pytest.raises(ahi.api.exceptions.ConflictException):
        ahi.api.delete_datastore(datastoreId=datastore_id)
    ahi.api.delete_image_set(datastoreId=datastore_id, imageSetId=image_set["imageSetId"])

    def state() -> Any:
        return ahi.api.get_image_set(datastoreId=datastore_id, imageSetId=image_set["imageSetId"])["imageSetState"]

    wait_for(lambda: state() == "DELETED", "image set DELETED")
    assert ahi.api.delete_datastore(datastoreId=datastore_id)["datastoreStatus"] == "DELETING"
    wait_for(lambda: ahi.datastore_status(datastore_id) == "DELETED", "data store DELETED")
    wait_for(lambda: "Data Store Deleted" in ahi.event_types(), "the event")


def test_the_quota_of_stores_is_http_402(tmp_path: Any, s3: Any) -> None:
    with health_imaging(tmp_path, s3, replace(FAST, max_datastores=1)) as ahi:
        ahi.datastore()
        with pytest.raises(ahi.api.exceptions.ServiceQuotaExceededException) as refused:
            ahi.api.create_datastore()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 402


def test_tags_come_and_go(ahi: HealthImaging) -> None:
    arn = ahi.api.get_datastore(datastoreId=ahi.datastore())["datastoreProperties"]["datastoreArn"]
    ahi.api.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    ahi.api.untag_resource(resourceArn=arn, tagKeys=["a", "none"])
    assert ahi.api.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    with pytest.raises(ahi.api.exceptions.ResourceNotFoundException):
        ahi.api.list_tags_for_resource(resourceArn=arn[:-32] + "0" * 32)
