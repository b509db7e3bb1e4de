"""`ahiflow send`: C-STOREs files and folders to the receiver."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ahiflow.dicom.sender import FileOutcome, SendResult, StorageReceiver, send_files
from ahiflow.settings import PersonSettings

app = typer.Typer(add_completion=False)


class SendSettings(PersonSettings):
    """Where the receiver is; `eval "$(ahiflow env)"` sets it."""

    dicom_host: str
    dicom_port: int
    called_ae_title: str


@app.command()
def send(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="DICOM files, or folders of them.")],
    parallel: Annotated[int, typer.Option(min=1, max=32, help="Associations at a time; each brings one study.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Send files to the receiver, each in its own transfer syntax. Exit code 1 if any was not acknowledged."""
    settings = SendSettings.from_environ(os.environ)
    receiver = StorageReceiver(settings.dicom_host, settings.dicom_port, settings.called_ae_title)
    warnings.simplefilter("ignore")  # pydicom's warnings quote values
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if console.is_terminal:
        result = _with_progress(console, paths, receiver, parallel)
    else:
        result = send_files(paths, receiver, parallel=parallel, on_outcome=lambda done: _say_refused(console, done))
    if as_json:
        typer.echo(json.dumps(_as_document(result), indent=2))
    else:
        typer.echo(
            f"{result.acknowledged} of {result.sent + _unsent(result)} files acknowledged, "
            f"{len(result.refused)} refused, on {result.associations} associations"
        )
    if result.refused or not result.acknowledged:
        raise typer.Exit(1)


def _with_progress(console: Console, paths: list[Path], receiver: StorageReceiver, parallel: int) -> SendResult:
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)

        def on_outcome(done: FileOutcome) -> None:
            progress.update(task, total=done.total, advance=1)
            _say_refused(progress.console, done)

        return send_files(paths, receiver, parallel=parallel, on_outcome=on_outcome)


def _say_refused(console: Console, done: FileOutcome) -> None:
    if done.reason is not None:
        console.print(f"refused: {done.path}: {done.reason}", markup=False)


def _unsent(result: SendResult) -> int:
    return len(result.refused) - (result.sent - result.acknowledged)


def _as_document(result: SendResult) -> dict[str, object]:
    return {
        "sent": result.sent,
        "acknowledged": result.acknowledged,
        "refused": [{"file": str(one.path), "reason": one.reason} for one in result.refused],
        "associations": result.associations,
    }
