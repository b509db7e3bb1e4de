"""`ahiflow labels`: put the labels that a person wrote, and show those in force."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Annotated

import pydicom
import typer
from pydicom.errors import InvalidDicomError

from ahiflow import aws
from ahiflow.errors import InvalidLabelsError, NotFoundError
from ahiflow.identifiers import is_uid
from ahiflow.label_csv import InstanceIdentity, LabelRow, build_label_table, parse_label_csv
from ahiflow.labels import LabelTable, TrainWhen, WhenComplete, WhenEnough, find_labels, put_labels
from ahiflow.object_store import ObjectStore
from ahiflow.pseudonym import Pseudonyms
from ahiflow.settings import CommandSettings

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The labels that models are trained on.")


@app.command()
def put(
    table: Annotated[Path, typer.Argument(metavar="LABELS.csv", help="file or sop_instance_uid, label_<name>.")],
    images: Annotated[Path | None, typer.Option("--images", metavar="DIR", help="Where the CSV's files are.")] = None,
    train_when: Annotated[str, typer.Option("--train-when", metavar="complete|N", help="When to train.")] = "complete",
) -> None:
    """Put a label table in force. Only keyed hashes of SOP Instance UIDs leave this machine."""
    when = parse_train_when(train_when)
    parsed = parse_label_csv(table)
    directory = images if images is not None else table.parent
    identified = {row.line: identify_instance(parsed.source, row, directory) for row in parsed.rows}
    settings = CommandSettings.from_environ(os.environ)
    pseudonyms = Pseudonyms.from_secret(aws.impatient_client("secretsmanager"), settings.pseudonym_secret_id)
    labels = build_label_table(parsed, lambda row: identified[row.line], pseudonyms.sop_instance, when)
    sha256 = put_labels(_store(settings), labels)
    typer.echo(f"{_summary(labels)}: labels/{sha256}.json is in force")


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show the label table in force."""
    labels = find_labels(_store(CommandSettings.from_environ(os.environ)))
    if labels is None:
        raise NotFoundError("no labels are in force: put some with `ahiflow labels put LABELS.csv --images DIR`")
    if as_json:
        typer.echo(json.dumps({"sha256": labels.sha256, **labels.model_dump(mode="json")}))
        return
    typer.echo(_summary(labels))
    typer.echo(f"labels/{labels.sha256}.json")


def parse_train_when(text: str) -> TrainWhen:
    """Parse ``complete`` or a number of image sets, at least 1. Raises InvalidLabelsError."""
    if text == "complete":
        return WhenComplete()
    if not text.isdecimal() or int(text) < 1:
        raise InvalidLabelsError(f"--train-when {text!r}: neither `complete` nor a number of image sets")
    return WhenEnough(minimum_new_image_sets=int(text))


def identify_instance(source: str, row: LabelRow, directory: Path) -> InstanceIdentity:
    """Read SOP Instance UID and Patient ID of the row's instance. Raises InvalidLabelsError naming file and line."""
    if row.file is None:
        return InstanceIdentity(sop_instance_uid=row.sop_instance_uid or "", patient_id=None)
    where = f"{source}, line {row.line}: {row.file}"
    try:
        dataset = pydicom.dcmread(
            directory / row.file, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "PatientID"]
        )
        uid = str(dataset.get("SOPInstanceUID", "")).strip("\0 ")
        patient_id = str(dataset.get("PatientID") or "").strip() or None
    except FileNotFoundError as error:
        raise InvalidLabelsError(f"{where}: no such file in {directory}") from error
    except OSError as error:
        raise InvalidLabelsError(f"{where}: cannot be read ({error.strerror})") from error
    except (InvalidDicomError, ValueError, KeyError, NotImplementedError, AttributeError) as error:
        raise InvalidLabelsError(f"{where}: not a readable DICOM file") from error
    if not is_uid(uid):
        raise InvalidLabelsError(f"{where}: has no valid SOP Instance UID")
    return InstanceIdentity(sop_instance_uid=uid, patient_id=patient_id)


def _store(settings: CommandSettings) -> ObjectStore:
    return ObjectStore(aws.impatient_client("s3"), settings.artifacts_bucket_name)


def _summary(labels: LabelTable) -> str:
    counts: Counter[int] = Counter(labels.labels.values())
    classes = ", ".join(f"{counts[index]} {name!r}" for index, name in enumerate(labels.class_names))
    when = labels.train_when
    policy = (
        f"train at {when.minimum_new_image_sets} new labelled image sets"
        if isinstance(when, WhenEnough)
        else "train when every labelled instance has been fetched"
    )
    return f"{len(labels.labels)} labelled instances of {labels.label_name!r} ({classes}); {policy}"
