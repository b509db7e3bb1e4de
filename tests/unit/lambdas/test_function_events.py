"""Real-shaped events parse, match their routes, and pass through SQS with partial failures."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
from function_events import event, names
from pydantic import BaseModel

from ahiflow import events, sqs_events
from ahiflow.errors import InvalidRequestError, NotYetConsistentError
from ahiflow.routes import ROUTES

MODELS: dict[str, type[BaseModel]] = {
    "s3_object_created": events.ObjectCreated,
    "import_job_completed": events.ImportJobEnded,
    "import_job_failed": events.ImportJobEnded,
    "image_set_created": events.ImageSetVersion,
    "image_set_created_guide_spelling": events.ImageSetVersion,
    "image_set_updated": events.ImageSetVersion,
    "pipeline_execution_succeeded": events.PipelineExecutionStatusChange,
    "model_package_approved": events.ModelPackageStateChange,
    "scheduled": BaseModel,
}


class Context:
    function_name = "function"
    memory_limit_in_mb = 128
    invoked_function_arn = "arn:aws:lambda:us-west-2:123456789012:function:function"
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 1000


def sqs(*bodies: str) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": "r",
                "body": body,
                "attributes": {},
                "messageAttributes": {},
                "md5OfBody": "",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-west-2:123456789012:queue",
                "awsRegion": "us-west-2",
            }
            for number, body in enumerate(bodies)
        ]
    }


_service_numbers = itertools.count()


def handle(work: sqs_events.Work, event: dict[str, Any]) -> dict[str, Any]:
    service = f"function-{next(_service_numbers)}"  # a logger keeps the standard output that its first test had
    return sqs_events.handle_events(service, lambda: work, event, Context())  # type: ignore[arg-type]


def test_there_is_a_model_for_every_kept_event() -> None:
    assert names() == sorted(MODELS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_kept_event_parses_and_belongs_to_a_route(name: str) -> None:
    kept = event(name)
    parsed = events.parse(events.Envelope, kept)
    events.parse(events.Event[MODELS[name]], kept)  # type: ignore[misc]
    patterns = [route.pattern for route in ROUTES if route.pattern]
    matching = [p for p in patterns if parsed.source in p["source"] and parsed.detail_type in p["detail-type"]]
    assert len(matching) == 1 or parsed.detail_type == "Scheduled Event"


def test_a_version_that_comes_as_a_number_is_read_as_its_digits() -> None:
    created = event("image_set_created")
    created["detail"]["imageSetVersion"] = 3
    assert events.parse(events.Event[events.ImageSetVersion], created).detail.image_set_version_id == "3"


def test_a_malformed_event_is_named_by_its_fields_and_not_by_their_values() -> None:
    created = event("image_set_created")
    created["detail"]["imageSetVersion"] = "PATIENT^NAME"
    with pytest.raises(InvalidRequestError) as raised:
        events.parse(events.Event[events.ImageSetVersion], created)
    assert "imageSetVersion" in str(raised.value)
    assert "PATIENT" not in str(raised.value)


def test_only_the_records_whose_work_failed_come_again(capsys: pytest.CaptureFixture[str]) -> None:
    def work(event: Mapping[str, Any]) -> str:
        if event["detail"] == "late":
            raise NotYetConsistentError("not yet")
        if event["detail"] == "bad":
            raise InvalidRequestError("refused")
        return "work-1"

    def body(detail: str) -> str:
        return json.dumps({"id": "1", "source": "s", "detail-type": "t", "detail": detail})

    answer = handle(work, sqs(body("good"), body("late"), "PATIENT^NAME", body("good"), body("bad"), "[]"))
    assert answer == {"batchItemFailures": [{"itemIdentifier": f"m{n}"} for n in (1, 2, 4, 5)]}
    printed = capsys.readouterr().out
    assert "PATIENT" not in printed
    [emitted] = [json.loads(line) for line in printed.splitlines() if '"_aws"' in line]
    assert emitted["EventsHandled"] == [1.0, 1.0]
    assert (emitted["EventsToComeAgain"], len(emitted["EventsRefused"])) == ([1.0], 3)


def test_a_batch_that_fails_as_a_whole_is_reported_record_by_record() -> None:
    def work(event: Mapping[str, Any]) -> str:
        raise NotYetConsistentError("not yet")

    body = json.dumps(event("scheduled"))
    assert len(handle(work, sqs(body, body))["batchItemFailures"]) == 2


def test_a_defect_is_seen_by_its_place_and_its_event_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    def work(event: Mapping[str, Any]) -> str:
        raise KeyError("PATIENT^NAME")

    assert len(handle(work, sqs(json.dumps(event("scheduled"))))["batchItemFailures"]) == 1
    printed = capsys.readouterr().out
    assert '"at":"test_function_events.py:' in printed
    assert "PATIENT" not in printed


def test_a_person_may_invoke_a_function_with_one_event_and_sees_its_error() -> None:
    def work(event: Mapping[str, Any]) -> str:
        raise NotYetConsistentError("not yet")

    with pytest.raises(NotYetConsistentError):
        handle(work, event("scheduled"))
