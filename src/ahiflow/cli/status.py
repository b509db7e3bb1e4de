"""`ahiflow status`: the latest studies, or where one study is and why it waits."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ahiflow import aws
from ahiflow.cli import story as stories
from ahiflow.cli.story import BatchStory, ImageSetStory, Story
from ahiflow.errors import ConfigurationError
from ahiflow.identifiers import is_uid
from ahiflow.ledger.schema import StudyBatchItem
from ahiflow.ledger.store import Ledger
from ahiflow.settings import PersonSettings
from ahiflow.spine.executions import execution_id

app = typer.Typer(add_completion=False)


class StatusSettings(PersonSettings):
    """Where the ledger is; `eval "$(ahiflow env)"` sets it."""

    ledger_table_name: str


@app.command()
def status(
    study_instance_uid: Annotated[
        str | None, typer.Argument(metavar="[STUDY_INSTANCE_UID]", help="One study; the latest ones if left out.")
    ] = None,
    latest: Annotated[int, typer.Option(min=1, max=1000, help="How many of the latest studies.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say where a study is (association, batch, import job, image sets, executions, model) and why it waits."""
    settings = StatusSettings.from_environ(os.environ)
    ledger = Ledger(aws.impatient_client("dynamodb"), settings.ledger_table_name)
    sagemaker = aws.impatient_client("sagemaker")
    if study_instance_uid is None:
        found = [stories.tell(ledger, uid, sagemaker) for uid in _latest_studies(ledger, latest)]
        if as_json:
            _print_json([_row(story) for story in found])
        else:
            _print_list(found)
        return
    if not is_uid(study_instance_uid):
        raise ConfigurationError(f"not a Study Instance UID: {study_instance_uid!r}")
    story = stories.tell(ledger, study_instance_uid, sagemaker)
    if as_json:
        _print_json(story.model_dump(mode="json"))
        return
    for line in lines(story):
        typer.echo(line)


def lines(story: Story) -> Iterator[str]:
    """The story of a study, line by line, for a person."""
    yield f"study {story.study_instance_uid}"
    yield f"  {story.state}"
    for batch in story.batches:
        yield from _batch_lines(batch)
    for image_set in story.image_sets:
        yield from _image_set_lines(image_set)


def _batch_lines(story: BatchStory) -> Iterator[str]:
    batch = story.batch
    closed = f"{batch.closed_at:%Y-%m-%d %H:%M:%S} UTC" if batch.closed_at else "at an unknown time"
    sender = f"{batch.calling_ae_title} -> {batch.called_ae_title}"
    yield f"  association {batch.association_id} ({sender}), {batch.closed_because} {closed}"
    yield f"  batch {batch.batch_id}: {batch.status}, {story.instances} instances of this study"
    for series in story.series:
        yield f"    series {series.series_instance_uid}: {series.instances} {series.modality}"
    for refusal in batch.refusals:
        yield f"    refused at the door: {refusal.instances} (0x{refusal.status:04X}, {refusal.reason})"
    job = story.import_job
    if job:
        counts = f", {job.imported} imported, {job.failed} failed in the whole batch" if job.ended_at else ""
        yield f"  import job {job.import_job_id}: {job.status}{counts}" + (f": {job.reason}" if job.reason else "")
        for kind, count in job.warnings.items():
            yield f"    imported with a warning: {count} {kind}"
    elif batch.reason:
        yield f"    {batch.reason}"
    for failure in story.failures:
        yield f"    not imported: {failure.sop_instance_uid}: {failure.reason}"


def _image_set_lines(story: ImageSetStory) -> Iterator[str]:
    item, execution = story.image_set, story.execution
    primary = {True: "primary", False: "not primary", None: "primary or not is unknown"}[item.is_primary]
    version = f"version {item.image_set_version_id}, {item.instances} instances, {primary}"
    yield f"  image set {item.image_set_id}: {version}"
    if execution is None:
        yield "    no execution yet"
        return
    name = execution_id(execution.pipeline_execution_arn) if execution.pipeline_execution_arn else "not started"
    attempt = f", attempt {execution.attempt}" if execution.attempt > 1 else ""
    yield f"    execution {name}: {execution.status}{attempt}" + (f": {execution.reason}" if execution.reason else "")
    for step in story.steps:
        yield f"      {step.name}: {step.status}" + (f": {step.reason}" if step.reason else "")
    if story.model:
        yield f"    model {story.model.model_package_arn}: {story.model.approval_status}"
        if deployment := story.model.deployment:
            endpoint = f" at endpoint {deployment.endpoint_name}" if deployment.endpoint_name else ""
            yield f"    deployment: {deployment.status}{endpoint}" + (
                f": {deployment.reason}" if deployment.reason else ""
            )


def _latest_studies(ledger: Ledger, count: int) -> Iterator[str]:
    uids = (item.study_instance_uid for item in ledger.items(StudyBatchItem, newest_first=True))
    return itertools.islice(dict.fromkeys(uids), count)


def _row(story: Story) -> dict[str, Any]:
    closed = [found.batch.closed_at for found in story.batches if found.batch.closed_at]
    return {
        "study_instance_uid": story.study_instance_uid,
        "received_at": max(closed).isoformat() if closed else None,
        "instances": sum(found.instances for found in story.batches),
        "modalities": sorted({series.modality for found in story.batches for series in found.series}),
        "image_set_versions": len(story.image_sets),
        "state": story.state,
    }


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2))


def _print_list(found: list[Story]) -> None:
    console = Console(highlight=False)
    if not found:
        typer.echo("no study yet: send one with `ahiflow send PATH...`")
        return
    rows = [_row(story) for story in found]
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(_cell(row[name]) for name in _COLUMNS))
        return
    for row in rows:
        console.print(Text(row["study_instance_uid"], style="bold"), soft_wrap=True)  # whole, to be copied
        console.print(Padding(Text(_brief(row)), (0, 0, 0, 2)))
        console.print(Padding(Text(row["state"]), (0, 0, 0, 2)))


def _brief(row: dict[str, Any]) -> str:
    received = f"{row['received_at'][:19].replace('T', ' ')} UTC" if row["received_at"] else "at an unknown time"
    modalities = f" ({_cell(row['modalities'])})" if row["modalities"] else ""
    return (
        f"received {received}, {_counted(row['instances'], 'instance')}{modalities}, "
        f"{_counted(row['image_set_versions'], 'image set')}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


_COLUMNS = ("study_instance_uid", "received_at", "instances", "modalities", "image_set_versions", "state")


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return "-" if value is None else str(value)
