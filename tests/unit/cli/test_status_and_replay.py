"""What a person reads about a study, at every point of its way, and what replay starts again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ahiflow.batch import BatchInstance, BatchManifest, Refusal
from ahiflow.cli import story as stories
from ahiflow.cli.main import main
from ahiflow.cli.replay import failed_work, move_dead_letters
from ahiflow.cli.status import lines
from ahiflow.ledger.schema import (
    TABLE,
    DeploymentItem,
    ExecutionItem,
    ImportFailure,
    ImportJobItem,
    StepSummary,
    StudyImageSetItem,
)
from ahiflow.ledger.store import Ledger
from ahiflow.routes import FUNCTIONS

BATCH_ID = "20261121T010203Z-0123456789abcdef"
IMAGE_SET_ID = "207284eef860ac01c4b2a8de27a6fc11"
MODEL = "arn:aws:sagemaker:us-west-2:111122223333:model-package/ahi-models/1"
STUDY = "1.2.840.1"
NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)


class SageMaker:
    """Answers what `ahiflow status` asks of SageMaker; steps as (name, status)."""

    def __init__(self, approval: str = "PendingManualApproval", steps: tuple[tuple[str, str], ...] = ()) -> None:
        self.approval, self.step_list = approval, steps

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:
        return {"ModelApprovalStatus": self.approval}

    def get_paginator(self, _: str) -> SageMaker:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"PipelineExecutionSteps": [{"StepName": n, "StepStatus": s} for n, s in self.step_list]}]


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    for name, value in {
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AHIFLOW_LEDGER_TABLE_NAME": "ledger",
        "AHIFLOW_QUEUE_PREFIX": "ahiflow",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AHIFLOW_VERBOSE", raising=False)
    with mock_aws():
        dynamodb = boto3.client("dynamodb")
        dynamodb.create_table(TableName="ledger", **TABLE)
        yield Ledger(dynamodb, "ledger")


def received(ledger: Ledger) -> None:
    instances = tuple(
        BatchInstance(
            key=f"instances/{BATCH_ID}/{uid}.dcm",
            sop_instance_uid=uid,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            study_instance_uid=STUDY,
            series_instance_uid="1.2.840.1.1",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality="CT",
            size=1,
            sha256="0" * 64,
        )
        for uid in ("1.1", "1.2")
    )
    ledger.note_batch(
        BatchManifest(
            batch_id=BATCH_ID,
            association_id="a-1",
            calling_ae_title="SCANNER",
            called_ae_title="AHIFLOW",
            opened_at=NOW,
            closed_at=NOW,
            closed_because="released",
            prefix=f"instances/{BATCH_ID}/",
            instances=instances,
            refusals=(Refusal(sop_instance_uid="1.9", status=0xC000, reason="not DICOM"),),
        )
    )


def importing(ledger: Ledger) -> None:
    received(ledger)
    ledger.move_batch(BATCH_ID, "import-started", import_job_id="j1")


def imported(ledger: Ledger, failed: bool = False) -> None:
    importing(ledger)
    failure = ImportFailure(sop_instance_uid="1.1", study_instance_uid=STUDY, reason="ValidationException: broken")
    ledger.note_import_job(
        ImportJobItem(
            import_job_id="j1",
            status="COMPLETED",
            batch_id=BATCH_ID,
            ended_at=NOW,
            imported=1 if failed else 2,
            failed=int(failed),
            failures=(failure,) if failed else (),
        )
    )
    ledger.move_batch(BATCH_ID, "partly-imported" if failed else "imported", import_job_id="j1")
    ledger.note_study_image_set(
        StudyImageSetItem(
            study_instance_uid=STUDY,
            image_set_id=IMAGE_SET_ID,
            image_set_version_id="1",
            series_instance_uids=("1.2.840.1.1",),
            instances=2,
            is_primary=True,
            batch_id=BATCH_ID,
            import_job_id="j1",
        )
    )


def executed(ledger: Ledger, status: Any, **more: Any) -> None:
    imported(ledger)
    arn = "arn:aws:sagemaker:us-west-2:111122223333:pipeline/p/execution/e1"
    ledger.note_execution(
        ExecutionItem(
            image_set_id=IMAGE_SET_ID, image_set_version_id="1", status=status, pipeline_execution_arn=arn, **more
        )
    )


def state(ledger: Ledger, sagemaker: SageMaker | None = None) -> str:
    return stories.tell(ledger, STUDY, sagemaker).state


def test_a_study_says_in_plain_words_where_it_is_and_why_it_waits(ledger: Ledger) -> None:
    received(ledger)
    assert state(ledger) == "waits for start_import: the batch is stored, and no import job was started yet"
    importing(ledger)
    assert state(ledger) == "waits for HealthImaging, which is importing (job j1)"
    imported(ledger)
    assert state(ledger) == f"waits for start_pipeline: no execution for image set {IMAGE_SET_ID} version 1 yet"
    executed(ledger, "Executing")
    running = SageMaker(steps=(("FetchImageSet", "Succeeded"), ("CurateDataset", "Executing")))
    assert state(ledger, running) == f"waits for CurateDataset (image set {IMAGE_SET_ID} version 1)"
    executed(ledger, "Succeeded", reason="no training after CurateDataset: 3 of 40 new labelled image sets")
    assert state(ledger) == "done: no training after CurateDataset: 3 of 40 new labelled image sets"


def test_a_model_waits_for_a_person_and_then_for_its_endpoint(ledger: Ledger) -> None:
    executed(ledger, "Succeeded", model_package_arn=MODEL)
    assert state(ledger, SageMaker()) == f"waits for a person: `ahiflow models approve {MODEL}`"
    approved = SageMaker("Approved")
    assert state(ledger, approved) == f"waits for deploy_model: model {MODEL} is approved"
    ledger.note_deployment(DeploymentItem(model_package_arn=MODEL, status="in-service", endpoint_name="ahi-model"))
    assert state(ledger, approved) == f"done: model {MODEL} is deployed at endpoint ahi-model"


def test_the_story_names_every_part_and_every_failure(ledger: Ledger) -> None:
    imported(ledger, failed=True)
    text = "\n".join(lines(stories.tell(ledger, STUDY)))
    for part in (
        "failed in part: 1 of 2 instances were not imported (job j1)",
        "association a-1 (SCANNER -> AHIFLOW), released 2026-11-21 02:00:00 UTC",
        f"batch {BATCH_ID}: partly-imported, 2 instances of this study",
        "series 1.2.840.1.1: 2 CT",
        "refused at the door: 1 (0xC000, not DICOM)",
        "import job j1: COMPLETED, 1 imported, 1 failed in the whole batch",
        "not imported: 1.1: ValidationException: broken",
        f"image set {IMAGE_SET_ID}: version 1, 2 instances, primary",
        "no execution yet",
    ):
        assert part in text, part


def test_a_failed_step_is_the_reason(ledger: Ledger) -> None:
    failed = StepSummary(name="FetchImageSet", status="Failed", reason="frame 3: CRC32 differs")
    executed(ledger, "Failed", reason="Step failure", steps=(failed,))
    assert state(ledger).startswith("failed in FetchImageSet: frame 3: CRC32 differs")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_the_command_prints_a_story_a_list_and_json(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 0
    assert "no study yet" in capsys.readouterr().out
    importing(ledger)
    assert run("status", STUDY) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"study {STUDY}"
    assert run("status") == 0
    assert capsys.readouterr().out.startswith(f"{STUDY}\t2026-11-21T02:00:00+00:00\t2\tCT\t0\twaits for HealthImaging")
    assert run("status", STUDY, "--json") == 0
    assert json.loads(capsys.readouterr().out)["batches"][0]["batch"]["status"] == "import-started"
    assert run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["study_instance_uid"] == STUDY


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("status", "1.2.3"), "no study 1.2.3 in the ledger"),
        (("status", "not-a-uid"), "not a Study Instance UID: 'not-a-uid'"),
        (("replay", "--study", "1.2.3"), "no study 1.2.3 in the ledger"),
        (("replay",), "say what to replay: --study UID or --dead-letters"),
    ],
)
def test_what_cannot_be_answered_is_one_line_and_a_non_zero_exit(
    ledger: Ledger, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(*arguments) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"ahiflow: {said}")
    assert printed.err.count("\n") == 1
    assert printed.out == ""


def test_replay_asks_for_the_next_attempt_of_what_failed_and_of_nothing_else(ledger: Ledger) -> None:
    executed(ledger, "Succeeded")
    assert list(failed_work(ledger, STUDY)) == []
    ledger.note_execution(
        ExecutionItem(image_set_id=IMAGE_SET_ID, image_set_version_id="1", status="Failed", attempt=2)
    )
    ledger.move_batch(BATCH_ID, "import-failed", attempt=3)
    asked = {function: event for function, event, _ in failed_work(ledger, STUDY)}
    assert asked["start_import"]["detail"] == {"batch_id": BATCH_ID, "attempt": 4}
    assert asked["start_pipeline"]["detail"]["attempt"] == 3


def test_dead_letters_go_back_to_their_own_queue_once(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    sqs = boto3.client("sqs")
    urls = {}
    for function in FUNCTIONS:
        name = f"ahiflow-{function.replace('_', '-')}"
        urls[function] = sqs.create_queue(QueueName=name)["QueueUrl"]
        dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
        for number in range(12 if function == "start_import" else 0):
            sqs.send_message(QueueUrl=dead, MessageBody=f"event {number}")
    assert run("replay", "--dead-letters") == 0
    assert "start_import: 12 events given back" in capsys.readouterr().out
    back = sqs.get_queue_attributes(QueueUrl=urls["start_import"], AttributeNames=["ApproximateNumberOfMessages"])
    assert back["Attributes"]["ApproximateNumberOfMessages"] == "12"
    assert move_dead_letters(sqs, "ahiflow", "start_import") == 0


def test_replay_of_a_study_sends_its_events_to_the_functions(
    ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    url = boto3.client("sqs").create_queue(QueueName="ahiflow-start-pipeline")["QueueUrl"]
    executed(ledger, "Failed", reason="frame 3")
    assert run("replay", "--study", STUDY) == 0
    assert "attempt 2" in capsys.readouterr().out
    [message] = boto3.client("sqs").receive_message(QueueUrl=url)["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("ahiflow", "Image Set Version Replay Requested")
