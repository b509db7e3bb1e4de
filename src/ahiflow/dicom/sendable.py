"""Finds the files to send and what each needs of an association; nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ahiflow.dicom.data_set import identify
from ahiflow.dicom.encoding import read_file_meta
from ahiflow.errors import UnreadableInstanceError

# Beside the images of a folder: an index of them (PS3.10 §8.6) and tables about them.
_INDEX_NAME = "DICOMDIR"
_TABLE_SUFFIX = ".csv"


@dataclass(frozen=True, slots=True)
class SendableFile:
    """A whole Part 10 file. The UIDs are the data set's; ``meta_agrees`` says whether the file meta repeats them."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    meta_agrees: bool


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that was not sent, or not acknowledged."""

    path: Path
    reason: str


def find_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file of the paths, folders walked in order without hidden files, DICOMDIR and tables; each file once."""
    seen: set[Path] = set()
    for path in paths:
        for found in sorted(_walk(path)) if path.is_dir() else [path]:
            if (real := found.resolve()) not in seen:
                seen.add(real)
                yield found


def inspect(path: Path) -> SendableFile | RefusedFile:
    """Read a file and say what it needs to be sent, or why it cannot be."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return RefusedFile(path, f"cannot be read: {error.strerror or type(error).__name__}")
    try:
        meta = read_file_meta(data)
        facts = identify(memoryview(data)[meta.data_set_offset :], meta.transfer_syntax_uid)
    except UnreadableInstanceError as error:
        return RefusedFile(path, error.reason)
    return SendableFile(
        path=path,
        sop_class_uid=facts.sop_class_uid,
        sop_instance_uid=facts.sop_instance_uid,
        study_instance_uid=facts.study_instance_uid,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        data_set_offset=meta.data_set_offset,
        meta_agrees=(facts.sop_class_uid, facts.sop_instance_uid) == (meta.sop_class_uid, meta.sop_instance_uid),
    )


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.name != _INDEX_NAME and path.suffix.lower() != _TABLE_SUFFIX:
            yield path
