"""One Part 10 file: read, checked, its frames stored, its metadata staged on disk. Runs in a worker thread."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from ahiflow.identifiers import is_uid
from localcloud.healthimaging.importing.grouping import InstanceIdentity, StudyIdentity
from localcloud.healthimaging.metadata.instance_document import InstanceDocument, describe_instance
from localcloud.healthimaging.metadata.levels import INSTANCE, PATIENT, SERIES, STUDY
from localcloud.healthimaging.metadata.reading import READ_ERRORS
from localcloud.healthimaging.pixels.transcode import (
    Transcoding,
    TranscodingError,
    Warned,
    keep,
    plan,
    transcoding_warning,
)
from localcloud.healthimaging.switches import Switches

_REQUIRED = (
    (INSTANCE, "SOPInstanceUID"),
    (STUDY, "StudyInstanceUID"),
    (SERIES, "SeriesInstanceUID"),
)
# Developer guide, dicom-element-constraints.
_LONGEST = (
    (PATIENT, "PatientName", 256),
    (PATIENT, "PatientID", 256),
    (PATIENT, "PatientBirthDate", 18),
    (PATIENT, "PatientSex", 16),
    (STUDY, "StudyInstanceUID", 256),
    (STUDY, "StudyID", 256),
    (STUDY, "StudyDescription", 256),
    (STUDY, "AccessionNumber", 256),
    (STUDY, "StudyDate", 18),
    (STUDY, "StudyTime", 28),
    (SERIES, "SeriesInstanceUID", 256),
    (INSTANCE, "SOPInstanceUID", 256),
)


class FileRefusedError(Exception):
    """The file is not imported; the text goes to failure.ndjson and quotes nothing of the data set."""


@dataclass(frozen=True, slots=True)
class StagedInstance:
    """An imported file before its image set is known. ``staged`` holds its document (JSON), ``frames`` its frames."""

    key: str
    identity: InstanceIdentity
    warnings: tuple[Warned, ...]
    staged: Path


def stage(file: Path, key: str, job_id: str, target: Path, storage_format: str, switches: Switches) -> StagedInstance:
    """Import one file into ``target`` (a path without suffix): ``.frames`` and ``.json`` beside it.

    Raises FileRefusedError for what HealthImaging would list in failure.ndjson.
    """
    dataset = _read(file)
    document = _described(dataset, switches)
    identity = _identity(document)
    warnings: list[Warned] = []
    if document.bad_lengths:
        text = f"The file was imported but has values of an invalid length: {', '.join(document.bad_lengths[:10])}."
        warnings.append(Warned(45571, "InvalidDicomValueLength", text))
    if not (is_uid(identity.study_instance_uid) and is_uid(identity.series_instance_uid)):
        warnings.append(Warned(45570, "InvalidUidFormat", "The file was imported but has an invalid UID."))
    frames_file = target.with_suffix(".frames")
    transcoding, frames = _stored(dataset, frames_file, f"{job_id}/{key}", storage_format, switches)
    record: dict[str, Any] = {"levels": document.levels, "vrs": document.vrs, "frames": frames}
    if transcoding:
        warnings += transcoding.warnings
        record |= {
            "stored_transfer_syntax_uid": transcoding.stored_transfer_syntax_uid,
            "checksum_type": transcoding.checksum_type,
        }
    staged = target.with_suffix(".json")
    staged.write_text(json.dumps(record), encoding="utf-8")
    return StagedInstance(key, identity, tuple(warnings), staged)


def _read(file: Path) -> pydicom.FileDataset:
    try:
        dataset = pydicom.dcmread(file)
    except InvalidDicomError as error:
        raise FileRefusedError("DICOM attributes does not exist") from error
    except READ_ERRORS as error:
        raise FileRefusedError(f"The file cannot be read as DICOM ({type(error).__name__})") from error
    if not dataset.file_meta.get("TransferSyntaxUID"):
        raise FileRefusedError("DICOM attribute TransferSyntaxUID does not exist")
    return dataset


def _described(dataset: pydicom.FileDataset, switches: Switches) -> InstanceDocument:
    try:
        document = describe_instance(dataset, keep_number_padding=switches.keep_number_padding)
    except (*READ_ERRORS, LookupError) as error:
        raise FileRefusedError(f"The data set cannot be read ({type(error).__name__})") from error
    for level, keyword in _REQUIRED:
        if not document.levels[level].get(keyword):
            raise FileRefusedError(f"DICOM attribute {keyword} does not exist")
    for level, keyword, longest in _LONGEST:
        if len(str(document.levels[level].get(keyword) or "")) > longest:
            raise FileRefusedError(f"DICOM attribute {keyword} is longer than {longest} characters")
    return document


def _identity(document: InstanceDocument) -> InstanceIdentity:
    def text(level: str, keyword: str) -> str:
        value = document.levels[level].get(keyword)
        return "" if value is None else str(value).strip()

    return InstanceIdentity(
        study_instance_uid=text(STUDY, "StudyInstanceUID"),
        series_instance_uid=text(SERIES, "SeriesInstanceUID"),
        sop_instance_uid=text(INSTANCE, "SOPInstanceUID"),
        study=StudyIdentity(
            study_date=text(STUDY, "StudyDate"),
            accession_number=text(STUDY, "AccessionNumber"),
            patient_id=text(PATIENT, "PatientID"),
            study_id=text(STUDY, "StudyID"),
        ),
        series_number=text(SERIES, "SeriesNumber"),
    )


def _stored(
    dataset: pydicom.FileDataset, target: Path, name: str, storage_format: str, switches: Switches
) -> tuple[Transcoding | None, list[dict[str, Any]]]:
    try:
        transcoding = plan(dataset, storage_format, switches)
        if transcoding is None:
            return None, []
        try:
            return transcoding, list(_write(transcoding, target, name))
        except TranscodingError as error:
            kept = keep(dataset, switches, transcoding_warning(str(error)))
            return kept, list(_write(kept, target, name))
    except READ_ERRORS as error:
        raise FileRefusedError(f"The pixel data cannot be read ({type(error).__name__})") from error


def _write(transcoding: Transcoding, target: Path, name: str) -> Iterator[dict[str, Any]]:
    """Append each frame to one file; yield its entry of the metadata document and where it lies."""
    start = 0
    with target.open("wb") as file:
        for index, frame in enumerate(transcoding.frames):
            file.write(frame.data)
            entry = {
                "ID": hashlib.sha256(f"{name}#{index}".encode()).hexdigest()[:32],
                "PixelDataChecksumFromBaseToFullResolution": frame.checksums,
                "MinPixelValue": frame.minimum,
                "MaxPixelValue": frame.maximum,
                "FrameSizeInBytes": len(frame.data),
            }
            yield {"entry": entry, "start": start, "length": len(frame.data)}
            start += len(frame.data)
