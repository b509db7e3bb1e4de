"""`ahiflow replay`: starts again what failed.

The functions do the work, with their roles: a person needs to read the ledger and to send to the queues.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from ahiflow import aws, events
from ahiflow.aws_errors import translated
from ahiflow.cli import story as stories
from ahiflow.errors import ConfigurationError
from ahiflow.ledger.store import Ledger
from ahiflow.ledger.transitions import BATCH_MAY_BE_RESTARTED, EXECUTION_MAY_BE_RESTARTED
from ahiflow.routes import FUNCTIONS
from ahiflow.settings import PersonSettings

app = typer.Typer(add_completion=False)


class ReplaySettings(PersonSettings):
    """Where the ledger and the queues are; `eval "$(ahiflow env)"` sets it."""

    ledger_table_name: str
    queue_prefix: str


@app.command()
def replay(
    study: Annotated[str | None, typer.Option(metavar="UID", help="Start the failed work of this study again.")] = None,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Give every event in a dead-letter queue back to its function.")
    ] = False,
) -> None:
    """Start again what failed: of one study, or every event that a function could not handle."""
    if (study is None) == (not dead_letters):
        raise ConfigurationError("say what to replay: --study UID or --dead-letters")
    settings = ReplaySettings.from_environ(os.environ)
    sqs = aws.impatient_client("sqs")
    if study is None:
        for function in FUNCTIONS:
            moved = move_dead_letters(sqs, settings.queue_prefix, function)
            typer.echo(f"{function}: {moved} events given back")
        return
    asked = 0
    for function, event, said in failed_work(
        Ledger(aws.impatient_client("dynamodb"), settings.ledger_table_name), study
    ):
        with translated(f"the queue of {function}"):
            sqs.send_message(
                QueueUrl=_queue_url(sqs, queue_name(settings.queue_prefix, function)), MessageBody=json.dumps(event)
            )
        typer.echo(said)
        asked += 1
    if not asked:
        typer.echo("nothing of this study has failed")


def failed_work(ledger: Ledger, study_instance_uid: str) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """What of a study may be started again: the function, the event for it, and a line for a person.

    The attempt is one more than the ledger's, so that asking twice starts it once. Raises NotFoundError.
    """
    story = stories.tell(ledger, study_instance_uid)
    for found in story.batches:
        batch = found.batch
        if batch.status in BATCH_MAY_BE_RESTARTED:
            detail = {"batch_id": batch.batch_id, "attempt": batch.attempt + 1}
            said = f"batch {batch.batch_id} ({batch.status}) is imported again, attempt {batch.attempt + 1}"
            yield "start_import", _event(events.REPLAY_BATCH, detail), said
    for image_set in story.image_sets:
        execution = image_set.execution
        if execution and execution.status in EXECUTION_MAY_BE_RESTARTED:
            detail = {
                "image_set_id": execution.image_set_id,
                "image_set_version_id": execution.image_set_version_id,
                "attempt": execution.attempt + 1,
            }
            name = f"image set {execution.image_set_id} version {execution.image_set_version_id}"
            said = f"{name} ({execution.status}) gets an execution again, attempt {execution.attempt + 1}"
            yield "start_pipeline", _event(events.REPLAY_IMAGE_SET_VERSION, detail), said


def move_dead_letters(sqs: Any, queue_prefix: str, function: str) -> int:
    """Give every event in a function's dead-letter queue back to its queue; how many there were.

    Sent before deleted: an interruption leaves an event twice, never not at all. What fails again during the call is
    not taken a second time.
    """
    name = queue_name(queue_prefix, function)
    with translated(f"the queues of {function}"):
        queue, dead = _queue_url(sqs, name), _queue_url(sqs, f"{name}-dlq")
        there = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["ApproximateNumberOfMessages"])
        limit = int(there["Attributes"]["ApproximateNumberOfMessages"])
        moved = 0
        while moved < limit:
            messages = sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=min(10, limit - moved)).get("Messages")
            if not messages:
                break
            for message in messages:
                sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
                sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
    return moved


def queue_name(queue_prefix: str, function: str) -> str:
    """Name of the queue before a function; its dead-letter queue has ``-dlq`` after it."""
    return f"{queue_prefix}-{function.replace('_', '-')}"


def _queue_url(sqs: Any, name: str) -> str:
    return str(sqs.get_queue_url(QueueName=name)["QueueUrl"])


def _event(detail_type: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "source": events.OUR_SOURCE, "detail-type": detail_type, "detail": detail}
