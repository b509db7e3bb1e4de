from __future__ import annotations

from collections.abc import Callable

import pytest
from function_events import event
from spine_world import BATCH_ID, IMAGE_SET_ID, World

from ahiflow.errors import InvalidRequestError, ServiceUnavailableError
from ahiflow.ledger import schema
from ahiflow.ledger.schema import ExecutionItem, Item
from lambdas.reconcile.logic import reconcile

ARN = "arn:aws:sagemaker:us-west-2:111122223333:pipeline/ahi-mlops-pipeline/execution/e1"
OTHER_BATCH_ID = "20261121T010204Z-0123456789abcdef"


def execution(world: World) -> ExecutionItem:
    found = world.ledger.execution(IMAGE_SET_ID, "1")
    assert found is not None
    return found


def ended(arn: str = ARN) -> dict[str, object]:
    changed = event("pipeline_execution_succeeded")
    changed["detail"]["pipelineExecutionArn"] = arn
    return changed


def step(name: str, status: str = "Succeeded", **more: object) -> dict[str, object]:
    return {"StepName": name, "StepStatus": status, **more}


def test_an_execution_that_ended_after_curation_says_why(world: World) -> None:
    world.starter.start(IMAGE_SET_ID, "1", True)
    world.sagemaker.executions[ARN]["status"] = "Succeeded"
    world.sagemaker.steps[ARN] = [step("FetchImageSet"), step("CurateDataset"), step("TrainingNeeded")]
    body = b'{"training_needed": 0, "reason": "3 of 40 new labelled image sets"}'
    world.s3.put_object(Bucket="artifacts-bucket", Key="executions/e1/curation/curation.json", Body=body)
    assert reconcile(ended(), world.sweep) == "e1"
    assert execution(world).status == "Succeeded"
    assert execution(world).reason == "no training after CurateDataset: 3 of 40 new labelled image sets"
    assert [s.name for s in execution(world).steps] == ["FetchImageSet", "CurateDataset", "TrainingNeeded"]


def test_a_registered_model_is_noted_with_its_execution(world: World) -> None:
    world.starter.start(IMAGE_SET_ID, "1", True)
    world.sagemaker.executions[ARN]["status"] = "Succeeded"
    package = "arn:aws:sagemaker:us-west-2:111122223333:model-package/ahi-models/1"
    world.sagemaker.steps[ARN] = [
        step("CurateDataset"),
        step("TrainModel"),
        step("RegisterModel", Metadata={"RegisterModel": {"Arn": package}}),
    ]
    reconcile(ended(), world.sweep)
    assert (execution(world).model_package_arn, execution(world).reason) == (package, None)


def test_a_failed_execution_keeps_the_reason_of_its_step(world: World) -> None:
    world.starter.start(IMAGE_SET_ID, "1", True)
    world.sagemaker.executions[ARN] |= {"status": "Failed", "reason": "Step failure: One or multiple steps failed."}
    world.sagemaker.steps[ARN] = [step("FetchImageSet", "Failed", FailureReason="frame 3: CRC32 differs")]
    reconcile(ended(), world.sweep)
    assert execution(world).status == "Failed"
    assert execution(world).steps[0].reason == "frame 3: CRC32 differs"


def test_an_execution_that_a_person_started_is_left_alone(world: World) -> None:
    world.sagemaker.executions[ARN] = {"status": "Succeeded"}
    assert reconcile(ended(), world.sweep) == "e1"
    assert list(world.ledger.items(ExecutionItem)) == []


def test_a_sweep_does_what_no_event_brought_and_a_second_one_finds_nothing_to_do(world: World) -> None:
    manifest = world.put_batch()
    reconcile(event("scheduled"), world.sweep)
    [job_id] = world.healthimaging.jobs
    world.end_job(job_id, manifest)
    reconcile(event("scheduled"), world.sweep)
    assert execution(world).status == "Executing"
    world.sagemaker.executions[ARN]["status"] = "Succeeded"
    reconcile(event("scheduled"), world.sweep)
    assert execution(world).status == "Succeeded"
    report = world.sweep.run()
    done = (report.adopted, report.imports_started, report.imports_recorded, report.executions_started)
    assert (done, report.executions_noted, report.problems) == ((0, 0, 0, 0), 0, [])


def test_an_empty_ledger_is_rebuilt_from_the_services_alone(make_world: Callable[[], World]) -> None:
    world, rebuilt = make_world(), make_world()
    manifest = world.put_batch(instances=4, studies=2)
    world.put_batch(OTHER_BATCH_ID, instances=0)
    world.importer.start(BATCH_ID)
    world.importer.start(OTHER_BATCH_ID)
    [job_id] = world.healthimaging.jobs
    world.end_job(job_id, manifest, fail=1)
    world.recorder.record(job_id)
    world.starter.start(IMAGE_SET_ID, "1", True)
    world.sagemaker.executions[ARN]["status"] = "Succeeded"
    world.sagemaker.steps[ARN] = [step("FetchImageSet"), step("CurateDataset")]
    world.noter.note(ARN)
    rebuilt.healthimaging, rebuilt.sagemaker = world.healthimaging, world.sagemaker
    world.healthimaging.by_token.clear()  # the services may have forgotten the tokens
    world.sagemaker.by_token.clear()
    reconcile(event("scheduled"), rebuilt.sweep)
    assert everything(rebuilt) == everything(world)
    assert len(world.healthimaging.jobs) == len(world.sagemaker.executions) == 1


def test_a_sweep_goes_on_after_a_problem_and_is_seen_to_have_had_one(world: World) -> None:
    world.put_batch()
    world.put_batch(OTHER_BATCH_ID)
    world.healthimaging.fail_next("StartDICOMImportJob", 400, "ValidationException")
    with pytest.raises(ServiceUnavailableError, match="1 problems"):
        reconcile(event("scheduled"), world.sweep)
    statuses = {world.ledger.batch(batch_id).status for batch_id in (BATCH_ID, OTHER_BATCH_ID)}  # type: ignore[union-attr]
    assert statuses == {"import-refused", "import-started"}


def test_a_rebuild_may_be_asked_for_and_other_events_are_refused(world: World) -> None:
    ask = {"id": "1", "source": "ahiflow", "detail-type": "Ledger Rebuild Requested", "detail": {}}
    assert reconcile(ask, world.sweep) == "sweep"
    with pytest.raises(InvalidRequestError):
        reconcile({**ask, "source": "somebody"}, world.sweep)


def everything(world: World) -> list[Item]:
    kinds: list[type[Item]] = [
        schema.BatchItem,
        schema.StudyBatchItem,
        schema.StudyImageSetItem,
        schema.ImportJobItem,
        schema.ExecutionItem,
    ]
    found = [item for kind in kinds for item in world.ledger.items(kind)]
    assert len(found) == 2 + 2 + 2 + 1 + 1
    return sorted(found, key=lambda item: item.key)
