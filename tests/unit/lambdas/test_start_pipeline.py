from __future__ import annotations

import pytest
from function_events import event
from spine_world import IMAGE_SET_ID, World

from ahiflow.errors import InvalidRequestError, NotFoundError, ThrottledError
from ahiflow.idempotency import derive_token
from ahiflow.ledger.schema import ExecutionItem
from lambdas.start_pipeline.logic import start_pipeline

DATASTORE_ID = "bbc4f3cccbae4095a34170fddc19b13d"


def execution(world: World, version: str = "1") -> ExecutionItem:
    found = world.ledger.execution(IMAGE_SET_ID, version)
    assert found is not None
    return found


@pytest.mark.parametrize("spelling", ["image_set_created", "image_set_created_guide_spelling"])
def test_an_image_set_version_gets_one_execution_however_often_its_event_comes(world: World, spelling: str) -> None:
    for _ in range(3):
        assert start_pipeline(event(spelling), world.starter) == IMAGE_SET_ID
    assert world.sagemaker.calls == ["StartPipelineExecution"]
    [(arn, started)] = world.sagemaker.executions.items()
    assert started["PipelineParameters"] == [
        {"Name": "ImageSetId", "Value": IMAGE_SET_ID},
        {"Name": "DatastoreId", "Value": DATASTORE_ID},
        {"Name": "ImageSetVersionId", "Value": "1"},
    ]
    assert list(world.sagemaker.by_token) == [derive_token("start-pipeline", DATASTORE_ID, IMAGE_SET_ID, "1")]
    assert (execution(world).status, execution(world).pipeline_execution_arn) == ("Executing", arn)


def test_each_version_has_its_own_execution(world: World) -> None:
    start_pipeline(event("image_set_created"), world.starter)
    start_pipeline(event("image_set_updated"), world.starter)
    assert len(world.sagemaker.executions) == 2
    assert execution(world).pipeline_execution_arn != execution(world, "2").pipeline_execution_arn


def test_a_crash_between_claim_and_start_is_made_good_by_the_next_delivery(world: World) -> None:
    claim = ExecutionItem(image_set_id=IMAGE_SET_ID, image_set_version_id="1", status="claimed")
    world.ledger.note_execution(claim)
    start_pipeline(event("image_set_created"), world.starter)
    assert execution(world).status == "Executing"


def test_a_crash_between_start_and_note_starts_nothing_twice(world: World) -> None:
    claim = ExecutionItem(image_set_id=IMAGE_SET_ID, image_set_version_id="1", status="claimed")
    world.ledger.note_execution(claim)
    arn = world.starter._start(claim)
    start_pipeline(event("image_set_created"), world.starter)
    assert list(world.sagemaker.executions) == [arn]
    assert execution(world).pipeline_execution_arn == arn


def test_a_full_quota_brings_the_event_again(world: World) -> None:
    world.sagemaker.fail_next("StartPipelineExecution", 400, "ResourceLimitExceeded")
    with pytest.raises(ThrottledError):
        start_pipeline(event("image_set_created"), world.starter)
    assert execution(world).status == "claimed"
    start_pipeline(event("image_set_created"), world.starter)
    assert execution(world).status == "Executing"


def test_a_refused_start_is_in_the_ledger_and_can_be_tried_again(world: World) -> None:
    world.sagemaker.fail_next("StartPipelineExecution", 404, "ResourceNotFound")
    with pytest.raises(NotFoundError):
        start_pipeline(event("image_set_created"), world.starter)
    assert (execution(world).status, "ResourceNotFound" in str(execution(world).reason)) == ("refused", True)
    start_pipeline(event("image_set_created"), world.starter)
    assert (execution(world).status, execution(world).reason) == ("Executing", None)


def test_non_primary_image_sets_are_skipped_when_the_settings_say_so(world: World) -> None:
    world.start_non_primary = False
    created = event("image_set_created")
    created["detail"]["isPrimary"] = False
    start_pipeline(created, world.starter)
    assert world.sagemaker.calls == []
    assert (execution(world).status, "not a primary" in str(execution(world).reason)) == ("skipped", True)


def test_an_event_without_a_version_is_refused_by_the_name_of_the_field(world: World) -> None:
    created = event("image_set_created")
    del created["detail"]["imageSetVersion"]
    with pytest.raises(InvalidRequestError, match="imageSetVersion"):
        start_pipeline(created, world.starter)


def test_a_replay_starts_a_second_attempt_only_once(world: World) -> None:
    start_pipeline(event("image_set_created"), world.starter)
    detail = {"image_set_id": IMAGE_SET_ID, "image_set_version_id": "1", "attempt": 2}
    replay = {"id": "1", "source": "ahiflow", "detail-type": "Image Set Version Replay Requested", "detail": detail}
    start_pipeline(replay, world.starter)
    start_pipeline(replay, world.starter)
    start_pipeline(event("image_set_created"), world.starter)
    assert len(world.sagemaker.executions) == 2
    assert (execution(world).attempt, execution(world).status) == (2, "Executing")
