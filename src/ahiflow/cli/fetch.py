"""`ahiflow fetch`: what the fetcher container does, for a person."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from ahiflow import aws
from ahiflow.errors import ConfigurationError
from ahiflow.fetching.destination import LocalDestination
from ahiflow.fetching.outputs import Format
from ahiflow.fetching.run import FetchRequest, FetchResult, Progress, Silent, fetch_image_set
from ahiflow.healthimaging.reader import Boto3ImageSetReader
from ahiflow.identifiers import DatastoreId, parse_datastore_id, parse_image_set_id, parse_image_set_version_id
from ahiflow.pipeline_contract import LATEST_VERSION
from ahiflow.pixels.quiet import ignore_codec_remarks
from ahiflow.pseudonym import Pseudonyms
from ahiflow.settings import FetchCommandSettings

app = typer.Typer(add_completion=False)

_FORMATS = ("npy", "nifti", "raw")
_FRAMES_IN_FLIGHT = 32
_SECONDS_BETWEEN_LINES = 5.0


@app.command()
def fetch(
    image_set_id: Annotated[str, typer.Argument(metavar="IMAGE_SET_ID", help="32 of a-z, 0-9.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go; made when missing.")],
    formats: Annotated[str, typer.Option("--format", help="Any of npy, nifti, raw, with commas.")] = "npy,nifti",
    version: Annotated[str, typer.Option("--version", help="Image set version.")] = LATEST_VERSION,
    datastore_id: Annotated[str, typer.Option("--datastore-id", help="Else AHIFLOW_DATASTORE_ID.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Fetch an image set as verified arrays: every frame is compared with HealthImaging's checksum."""
    ignore_codec_remarks()
    settings = FetchCommandSettings.from_environ(os.environ)
    request = FetchRequest(
        datastore_id=_datastore_id(datastore_id or settings.datastore_id),
        image_set_id=parse_image_set_id(image_set_id),
        version_id=version if version == LATEST_VERSION else parse_image_set_version_id(version),
        formats=parse_formats(formats),
        frames_in_flight=_FRAMES_IN_FLIGHT,
    )
    destination = LocalDestination(out)
    reader = Boto3ImageSetReader(aws.client("medical-imaging", max_connections=_FRAMES_IN_FLIGHT))
    pseudonyms = Pseudonyms.from_secret(aws.impatient_client("secretsmanager"), settings.pseudonym_secret_id)
    with _progress(silent=as_json) as progress:
        result = fetch_image_set(request, reader, pseudonyms, lambda _version: destination, progress)
    if as_json:
        typer.echo(result.report.model_dump_json(indent=2))
    else:
        _print(result)


def parse_formats(text: str) -> frozenset[Format]:
    """Parse ``npy,nifti``. Raises ConfigurationError naming what is no format."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or (unknown := [name for name in names if name not in _FORMATS]):
        given = ", ".join(unknown) if names else "nothing"
        raise ConfigurationError(f"--format takes {', '.join(_FORMATS)}; not {given}")
    return frozenset(cast("Format", name) for name in names)


def _datastore_id(text: str) -> DatastoreId:
    if not text:
        raise ConfigurationError("which data store? Set AHIFLOW_DATASTORE_ID or give --datastore-id")
    return parse_datastore_id(text)


def _print(result: FetchResult) -> None:
    report, document = result.report, result.document
    done = "already there, checked" if report.already_present else "fetched"
    typer.echo(
        f"{done}: image set {report.image_set_id} version {report.version_id} "
        f"({'primary' if report.is_primary else 'not primary'}), {report.frames_verified} frames verified"
    )
    arrays = [array for array in (document.pixels, *document.further_pixels) if array is not None]
    for array in arrays:
        if array.file in document.files:
            typer.echo(f"  {array.file}: {' x '.join(map(str, array.shape))} {array.dtype}")
    if reason := document.no_pixels_reason or document.no_volume_reason:
        typer.echo(f"  no volume: {reason}")
    typer.echo(f"  in {report.image_set_uri}: {', '.join(_summary(document.files))}")


def _summary(files: tuple[str, ...]) -> list[str]:
    raw = sum(name.startswith("raw/") for name in files)
    named = [name for name in files if not name.startswith("raw/")]
    return [*named, *([f"raw/ ({raw} files)"] if raw else [])]


@contextmanager
def _progress(*, silent: bool) -> Iterator[Progress]:
    """A bar on a terminal, plain lines in a pipe, nothing for a program."""
    if silent:
        yield Silent()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        columns = (TextColumn("frames"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
            yield _Bar(bar)


class _Lines:
    """A line at the start, at the end, and now and then between."""

    def __init__(self) -> None:
        self._frames = 0
        self._last = 0.0

    def total(self, frames: int) -> None:
        self._frames, self._last = frames, time.monotonic()
        sys.stderr.write(f"fetching {frames} frames\n")

    def done(self, frames: int) -> None:
        now = time.monotonic()
        if frames == self._frames or now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            sys.stderr.write(f"{frames} of {self._frames} frames verified\n")


class _Bar:
    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task = bar.add_task("frames", total=None)

    def total(self, frames: int) -> None:
        self._bar.update(self._task, total=frames)

    def done(self, frames: int) -> None:
        self._bar.update(self._task, completed=frames)
