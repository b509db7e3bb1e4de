"""What a researcher unpacks is the artefact that was approved, and it stays inside the folder."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from registry_support import archive

from ahiflow.errors import ChecksumMismatchError, ConfigurationError, InvalidRequestError
from ahiflow.model_archive import retrieve, unpack
from ahiflow.s3uri import S3Uri

URI = S3Uri("artifacts", "executions/1/model.tar.gz")


def link(name: str, target: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = tarfile.SYMTYPE, target
        tar.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        archive({"good.txt": b"1", "../outside.txt": b"2"}),
        archive({"/outside.txt": b"2"}),
        link("link", "/"),
        b"no archive at all",
        archive({"cut.bin": bytes(range(256)) * 400})[:-200],
    ],
    ids=["parent", "absolute", "link", "no archive", "cut off"],
)
def test_a_dangerous_or_broken_archive_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        unpack(io.BytesIO(body), tmp_path / "out", "model.tar.gz")
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.rglob("outside.txt")) == []


@mock_aws
def test_only_the_approved_bytes_are_unpacked(tmp_path: Path) -> None:
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket=URI.bucket)
    body = archive({"model/weights.pt": b"weights", "code/metadata.json": b"{}"})
    s3.put_object(Bucket=URI.bucket, Key=URI.key, Body=body)
    with pytest.raises(ChecksumMismatchError):
        retrieve(s3, URI, "0" * 64, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    files = retrieve(s3, URI, hashlib.sha256(body).hexdigest(), tmp_path / "out")
    assert [file.relative_to(tmp_path / "out").as_posix() for file in files] == [
        "code/metadata.json",
        "model/weights.pt",
    ]
    assert files[1].read_bytes() == b"weights"
    with pytest.raises(ConfigurationError, match="empty"):
        retrieve(s3, URI, hashlib.sha256(body).hexdigest(), tmp_path / "out")
