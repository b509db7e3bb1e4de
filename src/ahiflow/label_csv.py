"""The CSV that a person writes: ``file,label_<name>[,patient]`` or ``sop_instance_uid,label_<name>[,patient]``.

Every refusal is an InvalidLabelsError of one line that names the CSV file and the line or column. Patients are only
compared with each other: they appear in no message and in no table.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ahiflow.errors import InvalidLabelsError
from ahiflow.identifiers import is_uid
from ahiflow.labels import LabelTable, TrainWhen

_LABEL_COLUMN = re.compile(r"label_([A-Za-z0-9_-]+)")
_KEY_COLUMNS = ("file", "sop_instance_uid")
_COLUMNS = "file or sop_instance_uid, label_<name>, and optionally patient"


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One line. Exactly one of ``file`` and ``sop_instance_uid`` is set; ``patient`` is the person's own word."""

    line: int
    file: str | None
    sop_instance_uid: str | None
    label: int
    patient: str | None


@dataclass(frozen=True, slots=True)
class LabelCsv:
    """The parsed CSV. ``source`` is its file name, for messages."""

    source: str
    label_name: str
    rows: tuple[LabelRow, ...]


@dataclass(frozen=True, slots=True)
class InstanceIdentity:
    """What the CSV's row names: SOP Instance UID (0008,0018) and, where it was read, Patient ID (0010,0020)."""

    sop_instance_uid: str
    patient_id: str | None


def parse_label_csv(path: Path) -> LabelCsv:
    """Parse a label CSV (UTF-8, with or without BOM). Raises InvalidLabelsError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidLabelsError(f"{path.name}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidLabelsError(f"{path.name}: not a UTF-8 text file") from error
    reader = csv.reader(text.splitlines())
    try:
        header = [name.strip() for name in next(reader, [])]
        label_column = _check_header(path.name, header)
        rows = tuple(_parse_row(path.name, reader.line_num, header, fields) for fields in reader if fields)
    except csv.Error as error:
        raise InvalidLabelsError(f"{path.name}, line {reader.line_num}: not CSV ({error})") from error
    if not rows:
        raise InvalidLabelsError(f"{path.name}: no labels in it")
    return LabelCsv(path.name, label_column.removeprefix("label_"), rows)


def build_label_table(
    labels: LabelCsv,
    identify: Callable[[LabelRow], InstanceIdentity],
    hash_uid: Callable[[str], str],
    train_when: TrainWhen,
) -> LabelTable:
    """Join the rows with the instances they name.

    Raises InvalidLabelsError: one instance with two labels, or one patient of the CSV whose images carry different
    Patient IDs (a split by patient would then part them). ``identify`` raises it for what cannot be read.
    """
    hashes: dict[str, LabelRow] = {}
    identities = [(row, identify(row)) for row in labels.rows]
    _check_patients(labels.source, identities)
    for row, identity in identities:
        earlier = hashes.setdefault(hash_uid(identity.sop_instance_uid), row)
        if earlier.label != row.label:
            raise InvalidLabelsError(
                f"{labels.source}, line {row.line}: label {row.label} for the instance that line {earlier.line} "
                f"labels {earlier.label}"
            )
    return LabelTable(
        label_name=labels.label_name,
        class_names=(f"no {labels.label_name}", labels.label_name),
        labels={key: _class_index(row.label) for key, row in hashes.items()},
        train_when=train_when,
    )


def _check_header(source: str, header: list[str]) -> str:
    label_columns = [name for name in header if _LABEL_COLUMN.fullmatch(name)]
    unknown = [name for name in header if name not in (*_KEY_COLUMNS, *label_columns, "patient")]
    if unknown:
        raise InvalidLabelsError(f"{source}: unknown column {unknown[0]!r} (expected: {_COLUMNS})")
    if len(set(header)) != len(header):
        raise InvalidLabelsError(f"{source}: a column occurs twice")
    if len(label_columns) != 1:
        raise InvalidLabelsError(f"{source}: {len(label_columns)} label columns, expected one (columns: {_COLUMNS})")
    if sum(name in header for name in _KEY_COLUMNS) != 1:
        raise InvalidLabelsError(f"{source}: exactly one of the columns file and sop_instance_uid is needed")
    return label_columns[0]


def _parse_row(source: str, line: int, header: list[str], fields: list[str]) -> LabelRow:
    where = f"{source}, line {line}"
    if len(fields) != len(header):
        raise InvalidLabelsError(f"{where}: {len(fields)} fields, expected {len(header)}")
    row = {name: text.strip() for name, text in zip(header, fields, strict=True)}
    label_column = next(name for name in header if name.startswith("label_"))
    if row[label_column] not in ("0", "1"):
        raise InvalidLabelsError(f"{where}, column {label_column}: {row[label_column]!r} is not 0 or 1")
    file, uid = row.get("file"), row.get("sop_instance_uid")
    if file == "":
        raise InvalidLabelsError(f"{where}, column file: empty")
    if uid is not None and not is_uid(uid):
        raise InvalidLabelsError(f"{where}, column sop_instance_uid: not a UID")
    return LabelRow(line, file, uid, int(row[label_column]), row.get("patient") or None)


def _check_patients(source: str, identities: Iterable[tuple[LabelRow, InstanceIdentity]]) -> None:
    first: dict[str, tuple[LabelRow, str]] = {}
    for row, identity in identities:
        if row.patient is None or identity.patient_id is None:
            continue
        earlier, patient_id = first.setdefault(row.patient, (row, identity.patient_id))
        if patient_id != identity.patient_id:
            raise InvalidLabelsError(
                f"{source}, line {row.line}, column patient: the same patient as line {earlier.line}, "
                "but the images carry different Patient IDs, so a split by patient could part them"
            )


def _class_index(label: int) -> Literal[0, 1]:
    return 1 if label else 0
