"""What the demo sends: a labelled phantom cohort and real files of the pydicom package, or a person's own images."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ahiflow.errors import ConfigurationError
from ahiflow.label_csv import parse_label_csv


@dataclass(frozen=True, slots=True)
class DemoData:
    """Files to send, the label table, and one sentence on what they are.

    ``images`` is the folder that the label table's file names are relative to; ``labelled_files`` of them have a label.
    """

    kind: str
    description: str
    files: tuple[Path, ...]
    images: Path
    labels: Path
    labelled_files: int


def own_data(folder: Path, labels: Path) -> DemoData:
    """Every file below ``folder`` but the label table; what is no DICOM is refused by the sender, by name.

    Raises ConfigurationError and InvalidLabelsError.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"DATA is no folder: {folder}")
    if not labels.is_file():
        raise ConfigurationError(f"LABELS is no file: {labels}")
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file() and path.resolve() != labels.resolve()))
    if not files:
        raise ConfigurationError(f"DATA holds no files: {folder}")
    count = len(parse_label_csv(labels).rows)
    return DemoData(
        kind="own",
        description=f"{len(files)} files of your own from {folder.name}/, {count} of them labelled in {labels.name}",
        files=files,
        images=folder,
        labels=labels,
        labelled_files=count,
    )


def phantom_data(folder: Path) -> DemoData:
    """Make the phantom cohort in ``folder`` and add real DICOM files that ship with pydicom."""
    from tools.demo.phantoms import write_cohort
    from tools.demo.real_files import real_files

    labels = write_cohort(folder)
    phantoms = tuple(sorted(folder.rglob("*.dcm")))
    real = tuple(real_files())
    return DemoData(
        kind="phantoms+pydicom",
        description=(
            f"{len(phantoms)} CT instances of a labelled phantom cohort, made here (no patient), and "
            f"{len(real)} real DICOM files that ship with pydicom (unlabelled)"
        ),
        files=phantoms + real,
        images=folder,
        labels=labels,
        labelled_files=_rows(labels),
    )


def _rows(labels: Path) -> int:
    with labels.open(newline="") as stream:
        return sum(1 for _ in csv.DictReader(stream))
