"""The output folder of an import job, read (AWS HealthImaging developer guide, "understanding-import-jobs").

    <outputS3Uri>/<datastoreId>-DicomImport-<jobId>/job-output-manifest.json
                                                    SUCCESS/success.ndjson
                                                    FAILURE/failure.ndjson
                                                    WARNING/warning.ndjson

Only this says what became of each file: a job whose every file failed is COMPLETED all the same. An ndjson file that is
not there is empty; the folder's manifest may come later than the event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ahiflow.aws_errors import translated
from ahiflow.errors import MalformedMetadataError, NotFoundError, NotYetConsistentError
from ahiflow.s3uri import S3Uri

MANIFEST_NAME: Final = "job-output-manifest.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ImageSetSummary(_Frozen):
    """One image set of a job, as manifests have been since 2025 (the guide's older example has no version)."""

    image_set_id: str = Field(alias="imageSetId")
    image_set_version_id: str = Field(alias="imageSetVersion", coerce_numbers_to_str=True)
    is_primary: bool | None = Field(default=None, alias="isPrimary")


class JobSummary(_Frozen):
    """The counts of a job. Folder URIs are whole S3 URIs with a trailing slash."""

    scanned: int = Field(alias="numberOfScannedFiles")
    imported: int = Field(alias="numberOfImportedFiles")
    success_uri: str | None = Field(default=None, alias="successOutputS3Uri")
    failure_uri: str | None = Field(default=None, alias="failureOutputS3Uri")
    warning_uri: str | None = Field(default=None, alias="warningsOutputS3Uri")
    image_sets: tuple[ImageSetSummary, ...] = Field(default=(), alias="imageSetsSummary")


class _Manifest(_Frozen):
    job_summary: JobSummary = Field(alias="jobSummary")


class _Warning(_Frozen):
    type: str = "unknown"


class _Response(_Frozen):
    image_set_id: str = Field(alias="imageSetId")
    warnings: tuple[_Warning, ...] = ()


class _Exception(_Frozen):
    type: str = Field(default="failed", alias="exceptionType")
    message: str = "no reason given"


class _Line(_Frozen):
    """One line of any of the three ndjson files. ``inputFile`` is the object key without its bucket."""

    key: str = Field(alias="inputFile")
    response: _Response | None = Field(default=None, alias="importResponse")
    exception: _Exception | None = None


@dataclass(frozen=True, slots=True)
class ImportOutput:
    """What a job did. Keys are object keys in the ingest bucket: to an image set id, to a reason, to warning types.

    A file with a warning was imported. ``warnings`` has such files too; ``imported`` has all that were imported.
    """

    summary: JobSummary
    imported: Mapping[str, str]
    failures: Mapping[str, str]
    warnings: Mapping[str, tuple[str, ...]]


def job_folder(output_s3_uri: str, datastore_id: str, import_job_id: str) -> S3Uri:
    """The job's folder, from either form of its outputS3Uri: what was asked for, or the folder itself."""
    name = f"{datastore_id}-DicomImport-{import_job_id}"
    uri = S3Uri.parse(output_s3_uri)
    asked_for = uri.key.rstrip("/")
    folder = S3Uri(uri.bucket, asked_for) if asked_for.split("/")[-1] == name else uri / name
    return S3Uri(folder.bucket, folder.key + "/")


def read_import_output(s3: Any, folder: S3Uri) -> ImportOutput:
    """Read a job's folder. Raises NotYetConsistentError while its manifest is missing, MalformedMetadataError."""
    try:
        body = _read(s3, folder / MANIFEST_NAME)
    except NotFoundError as error:
        raise NotYetConsistentError(f"the output manifest of an import job is not there yet ({folder})") from error
    try:
        summary = _Manifest.model_validate_json(body).job_summary
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in detail["loc"]) for detail in error.errors(include_input=False)})
        raise MalformedMetadataError(f"{folder / MANIFEST_NAME} breaks its schema at {', '.join(fields)}") from None
    imported: dict[str, str] = {}
    failures: dict[str, str] = {}
    warnings: dict[str, tuple[str, ...]] = {}
    for line in _lines(s3, summary.success_uri, folder, "SUCCESS/", "success.ndjson"):
        imported[line.key] = line.response.image_set_id if line.response else ""
    for line in _lines(s3, summary.warning_uri, folder, "WARNING/", "warning.ndjson"):
        imported[line.key] = line.response.image_set_id if line.response else ""
        warnings[line.key] = tuple(warning.type for warning in line.response.warnings) if line.response else ()
    for line in _lines(s3, summary.failure_uri, folder, "FAILURE/", "failure.ndjson"):
        failures[line.key] = f"{line.exception.type}: {line.exception.message}" if line.exception else "no reason given"
    return ImportOutput(summary, imported, failures, warnings)


def _lines(s3: Any, uri: str | None, folder: S3Uri, subfolder: str, name: str) -> Iterator[_Line]:
    where = (S3Uri.parse(uri) if uri else folder / subfolder) / name
    try:
        text = _read(s3, where).decode()
    except NotFoundError:
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield _parse_line(line)
            except ValidationError as error:
                raise MalformedMetadataError(f"line {number} of {where} is not what an import job writes") from error


def _parse_line(line: str) -> _Line:
    try:
        return _Line.model_validate_json(line)
    except ValidationError:
        # The guide prints Python's True in success.ndjson, which is not JSON; real files hold true.
        return _Line.model_validate_json(line.replace(": True", ": true").replace(": False", ": false"))


def _read(s3: Any, uri: S3Uri) -> bytes:
    with translated(str(uri)):
        return bytes(s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read())
