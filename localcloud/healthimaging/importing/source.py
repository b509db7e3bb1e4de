"""The objects under an import job's prefix, within the service's quotas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ahiflow.s3uri import S3Uri
from localcloud.healthimaging.switches import Switches

_CHUNK = 1 << 20


class JobRefusedError(Exception):
    """The job as a whole fails; the text is its ``message``."""


@dataclass(frozen=True, slots=True)
class SourceObject:
    """One object to import."""

    key: str
    size: int


def list_objects(s3: Any, location: S3Uri, switches: Switches) -> list[SourceObject]:
    """List what lies under the prefix, in key order. Raises JobRefusedError beyond a quota, and what boto3 raises."""
    objects: list[SourceObject] = []
    total = 0
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.key)
    for page in pages:
        for item in page.get("Contents", ()):
            if switches.skip_folder_objects and item["Key"].endswith("/") and item["Size"] == 0:
                continue
            total += item["Size"]
            objects.append(SourceObject(item["Key"], item["Size"]))
            _require_within_quota(len(objects), total, item["Size"], switches)
    if not objects and switches.empty_prefix_fails:
        raise JobRefusedError("No files found under the input prefix")
    return objects


def _require_within_quota(files: int, total: int, size: int, switches: Switches) -> None:
    """Texts but the first word are ours: the service's are not public (fact sheet 9.2)."""
    if files > switches.max_files_per_job:
        raise JobRefusedError(
            f"FILE_COUNTS_LIMIT_EXCEEDED: more than {switches.max_files_per_job} files under the input prefix"
        )
    if total > switches.max_bytes_per_job:
        raise JobRefusedError(f"FILE_SIZE_LIMIT_EXCEEDED: more than {switches.max_bytes_per_job} bytes in all")
    if size > switches.max_bytes_per_file:
        raise JobRefusedError(f"FILE_SIZE_LIMIT_EXCEEDED: a file of more than {switches.max_bytes_per_file} bytes")


def download(s3: Any, bucket: str, key: str, target: Path) -> None:
    """Stream one object to a file. Raises what boto3 raises."""
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    with target.open("wb") as file:
        for chunk in body.iter_chunks(_CHUNK):
            file.write(chunk)
