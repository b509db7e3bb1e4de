"""The output folder of an import job (developer guide, understanding-import-jobs)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ahiflow.s3uri import S3Uri
from localcloud.healthimaging.pixels.transcode import Warned
from localcloud.healthimaging.switches import Switches

MANIFEST = "job-output-manifest.json"


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file that became part of an image set version."""

    key: str
    image_set_id: str
    version: int
    is_primary: bool
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that did not. ``is_server_error`` tells the service's failures from the file's."""

    key: str
    message: str
    is_server_error: bool = False


@dataclass(slots=True)
class Report:
    """All that the folder says."""

    job_id: str
    datastore_id: str
    input_uri: str
    folder: S3Uri
    scanned: int
    imported: list[ImportedFile] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    image_sets: list[dict[str, Any]] = field(default_factory=list)


def job_folder(output_uri: str, datastore_id: str, job_id: str) -> S3Uri:
    """``<outputS3Uri>/<datastoreId>-DicomImport-<jobId>/``."""
    return S3Uri.parse(output_uri) / f"{datastore_id}-DicomImport-{job_id}/"


def write(s3: Any, report: Report, switches: Switches) -> None:
    """Put the folder's objects, the manifest last. Raises what boto3 raises."""
    warned = [file for file in report.imported if file.warnings]
    clean = report.imported if switches.warned_files_in_success else [f for f in report.imported if not f.warnings]
    for name, lines in (
        ("SUCCESS/success.ndjson", [_success(file) for file in clean]),
        ("FAILURE/failure.ndjson", [_failure(file) for file in report.failed]),
        ("WARNING/warning.ndjson", [_warning(file) for file in warned]),
    ):
        if lines or switches.write_empty_ndjson:
            _put(s3, report.folder / name, _ndjson(lines))
    _put(s3, report.folder / MANIFEST, json.dumps({"jobSummary": _summary(report)}).encode())


def _put(s3: Any, location: S3Uri, body: bytes) -> None:
    s3.put_object(Bucket=location.bucket, Key=location.key, Body=body)


def _ndjson(lines: Iterable[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def _success(file: ImportedFile) -> dict[str, Any]:
    return {"inputFile": file.key, "importResponse": {"imageSetId": file.image_set_id, "isPrimary": file.is_primary}}


def _failure(file: FailedFile) -> dict[str, Any]:
    kind = "InternalServerException" if file.is_server_error else "ValidationException"
    return {"inputFile": file.key, "exception": {"exceptionType": kind, "message": file.message}}


def _warning(file: ImportedFile) -> dict[str, Any]:
    return {
        "inputFile": file.key,
        "importResponse": {
            "imageSetId": file.image_set_id,
            "imageSetVersion": file.version,
            "isPrimary": file.is_primary,
            "warnings": [
                {"warning_reason_code": warning.code, "type": warning.type, "message": warning.message}
                for warning in file.warnings
            ],
        },
    }


def _summary(report: Report) -> dict[str, Any]:
    server = sum(file.is_server_error for file in report.failed)
    return {
        "jobId": report.job_id,
        "datastoreId": report.datastore_id,
        "inputS3Uri": report.input_uri,
        "outputS3Uri": str(report.folder),
        "successOutputS3Uri": str(report.folder / "SUCCESS/"),
        "failureOutputS3Uri": str(report.folder / "FAILURE/"),
        "warningsOutputS3Uri": str(report.folder / "WARNING/"),
        "numberOfScannedFiles": report.scanned,
        "numberOfImportedFiles": len(report.imported),
        "numberOfFilesWithCustomerError": len(report.failed) - server,
        "numberOfFilesWithServerError": server,
        "numberOfGeneratedImageSets": len(report.image_sets),
        "imageSetsSummary": report.image_sets,
    }
