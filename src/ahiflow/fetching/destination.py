"""Where an image set's output goes: a local directory or an S3 prefix. ``_SUCCESS`` is written last, by complete()."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from ahiflow.aws_errors import translated
from ahiflow.errors import ConfigurationError, NotFoundError
from ahiflow.image_set_document import IMAGE_SET_FILE
from ahiflow.keys import SUCCESS_MARKER
from ahiflow.s3uri import S3Uri

_BLOCK_BYTES = 1 << 20


class OutputFile(BaseModel):
    """One file of the output: bytes and SHA-256 in hex."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class SuccessMarker(BaseModel):
    """Content of ``_SUCCESS``: every file of the output, but itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, OutputFile]


class Destination(Protocol):
    """Contract: what is put stays invisible as a result until complete(); then the output is whole."""

    uri: str

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None when there is none."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None when there is none."""

    def put(self, name: str, path: Path) -> None:
        """Take over a file of the scratch directory."""

    def complete(self, marker: SuccessMarker) -> None:
        """Write ``_SUCCESS``."""


class LocalDestination:
    """A directory, which must be empty, missing, or hold an earlier output of a fetch (which is replaced)."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._earlier: frozenset[str] = frozenset()
        self.uri = str(directory)
        if directory.exists() and not directory.is_dir():
            raise ConfigurationError(f"{directory} is not a directory")
        if directory.is_dir() and any(directory.iterdir()) and not (directory / IMAGE_SET_FILE).exists():
            raise ConfigurationError(f"{directory} is not empty and holds no earlier fetch: name another directory")
        if marker := self.read(SUCCESS_MARKER):
            self._earlier = frozenset(parse_marker(marker).files)

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None when there is none."""
        path = self._directory / name
        return path.read_bytes() if path.is_file() else None

    def size(self, name: str) -> int | None:
        """Bytes of a file; None when there is none."""
        path = self._directory / name
        return path.stat().st_size if path.is_file() else None

    def put(self, name: str, path: Path) -> None:
        """Move the file in; an earlier ``_SUCCESS`` goes first, since it speaks of other files."""
        (self._directory / SUCCESS_MARKER).unlink(missing_ok=True)
        target = self._directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)

    def complete(self, marker: SuccessMarker) -> None:
        """Remove files of an earlier output that this one does not have, then write ``_SUCCESS`` atomically."""
        for name in self._earlier - set(marker.files):
            if not Path(name).is_absolute() and ".." not in Path(name).parts:
                (self._directory / name).unlink(missing_ok=True)
        temporary = self._directory / f"{SUCCESS_MARKER}.new"
        temporary.write_text(marker.model_dump_json(indent=1))
        temporary.replace(self._directory / SUCCESS_MARKER)


class S3Destination:
    """A prefix of a bucket. Objects are whole or absent; botocore adds a checksum that S3 verifies."""

    def __init__(self, client: Any, prefix: S3Uri) -> None:
        self._client = client
        self._prefix = prefix
        self.uri = str(prefix)

    def read(self, name: str) -> bytes | None:
        """Content of a small object; None when there is none."""
        where = self._prefix / name
        try:
            with translated(str(where)):
                body: bytes = self._client.get_object(Bucket=where.bucket, Key=where.key)["Body"].read()
        except NotFoundError:
            return None
        return body

    def size(self, name: str) -> int | None:
        """Bytes of an object; None when there is none."""
        where = self._prefix / name
        try:
            with translated(str(where)):
                return int(self._client.head_object(Bucket=where.bucket, Key=where.key)["ContentLength"])
        except NotFoundError:
            return None

    def put(self, name: str, path: Path) -> None:
        """Upload a file, in parts when it is large."""
        where = self._prefix / name
        with translated(str(where)), path.open("rb") as stream:
            self._client.upload_fileobj(stream, where.bucket, where.key)

    def complete(self, marker: SuccessMarker) -> None:
        """Write ``_SUCCESS``."""
        where = self._prefix / SUCCESS_MARKER
        with translated(str(where)):
            self._client.put_object(Bucket=where.bucket, Key=where.key, Body=marker.model_dump_json(indent=1).encode())


def parse_marker(content: bytes) -> SuccessMarker:
    """Parse ``_SUCCESS``; one that is not ours counts as naming no files."""
    try:
        return SuccessMarker.model_validate_json(content)
    except ValidationError:
        return SuccessMarker(files={})


def describe_file(path: Path) -> OutputFile:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return OutputFile(size=path.stat().st_size, sha256=digest.hexdigest())
