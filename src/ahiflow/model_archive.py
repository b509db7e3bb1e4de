"""Brings a model.tar.gz from S3 to a folder: digest first, then unpacking, and nothing leaves the folder."""

from __future__ import annotations

import hashlib
import tarfile
import tempfile
from pathlib import Path
from typing import IO, Any, Final

from ahiflow.aws_errors import translated
from ahiflow.errors import ChecksumMismatchError, ConfigurationError, InvalidRequestError
from ahiflow.s3uri import S3Uri

_BLOCK: Final = 1 << 20


def retrieve(s3: Any, uri: S3Uri, sha256: str, folder: Path) -> list[Path]:
    """Download and unpack into an empty or new folder; returns the files.

    Raises ChecksumMismatchError when the archive is not the one with this SHA-256 (hex), ConfigurationError when the
    folder is in use, InvalidRequestError when the archive cannot be unpacked safely.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} is not an empty folder: name another one with --out")
    with tempfile.TemporaryFile() as archive:
        if _download(s3, uri, archive) != sha256:
            raise ChecksumMismatchError(f"{uri} is not the artefact with SHA-256 {sha256}")
        archive.seek(0)
        return unpack(archive, folder, str(uri))


def unpack(archive: IO[bytes], folder: Path, name: str) -> list[Path]:
    """Unpack a gzipped tar archive: regular files and folders only, all below ``folder``.

    Raises InvalidRequestError that names what is wrong with the archive; nothing is written then.
    """
    try:
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            members = tar.getmembers()
            for member in members:
                _refuse_unsafe(member, folder.resolve(), name)
            folder.mkdir(parents=True, exist_ok=True)
            for member in members:
                _write(tar, member, folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidRequestError(f"{name} cannot be unpacked: {error}") from error
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _download(s3: Any, uri: S3Uri, target: IO[bytes]) -> str:
    digest = hashlib.sha256()
    with translated(str(uri)):
        for block in s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].iter_chunks(_BLOCK):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _refuse_unsafe(member: tarfile.TarInfo, root: Path, name: str) -> None:
    inside = (root / member.name).resolve().is_relative_to(root)
    if not inside or not (member.isfile() or member.isdir()):
        raise InvalidRequestError(f"{name} holds an entry that must not be unpacked: {member.name!r}")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder / member.name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is not None:
        with source, target.open("wb") as stream:
            while block := source.read(_BLOCK):
                stream.write(block)
