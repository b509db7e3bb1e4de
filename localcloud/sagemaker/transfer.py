"""Between S3 and a job's directory, as SageMaker's File mode does it."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ahiflow.errors import ConfigurationError
from ahiflow.s3uri import S3Uri
from localcloud.sagemaker.errors import JobFailedError

_PARALLEL = 8


def download_prefix(s3: Any, uri: str, directory: Path) -> int:
    """Bring every object under an S3Prefix into ``directory``; returns how many. None at all fails the job."""
    source = _parse(uri)
    try:
        keys = list(_keys(s3, source))
        _download_all(s3, source.bucket, [(key, directory / _relative(source.key, key)) for key in keys])
    except (ClientError, BotoCoreError) as error:
        raise _download_failed(uri, str(error)) from error
    if not keys:
        raise _download_failed(uri, "no S3 objects found under this S3 URL; does the bucket exist, and objects in it?")
    return len(keys)


def download_manifest(s3: Any, uri: str, directory: Path) -> int:
    """Bring every object that a ManifestFile lists, ``[{"prefix": "s3://..."}, "relative key", ...]``."""
    source = _parse(uri)
    try:
        document = json.loads(s3.get_object(Bucket=source.bucket, Key=source.key)["Body"].read())
        prefix = _parse(document[0]["prefix"])
        names = [str(name) for name in document[1:]]
        _download_all(s3, prefix.bucket, [(prefix.key + name, directory / _inside(name)) for name in names])
    except (ClientError, BotoCoreError) as error:
        raise _download_failed(uri, str(error)) from error
    except (ValueError, LookupError, TypeError) as error:
        raise _download_failed(uri, 'not a manifest [{"prefix": "s3://..."}, "key", ...]') from error
    return len(names)


def download_archive(s3: Any, uri: str, directory: Path) -> None:
    """Bring a ``.tar.gz`` and unpack it into ``directory``. Members that would land outside are refused."""
    source = _parse(uri)
    directory.mkdir(parents=True, exist_ok=True)
    archive = directory.parent / f"{directory.name}.tar.gz"
    try:
        s3.download_file(source.bucket, source.key, str(archive))
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
    except (ClientError, BotoCoreError, OSError, tarfile.TarError) as error:
        raise _download_failed(uri, str(error)) from error
    finally:
        archive.unlink(missing_ok=True)


def upload_tree(s3: Any, directory: Path, uri: str, wanted: Callable[[Path], bool] = lambda _: True) -> int:
    """Send every file below ``directory`` to ``uri``/<relative path>; returns how many."""
    target = _parse(uri)
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and wanted(path)]
    pairs = [(path, (target / path.relative_to(directory).as_posix())) for path in files]
    try:
        _each(lambda pair: s3.upload_file(str(pair[0]), pair[1].bucket, pair[1].key), pairs)
    except (ClientError, BotoCoreError) as error:
        raise JobFailedError(f"ClientError: Data upload to {uri} failed: {error}") from error
    return len(pairs)


def upload_archive(s3: Any, directory: Path, uri: str) -> None:
    """Send the files below ``directory`` as one ``.tar.gz`` object."""
    target = _parse(uri)
    archive = directory.parent / f"{directory.name}.upload.tar.gz"
    try:
        with tarfile.open(archive, "w:gz") as tar:
            for path in sorted(directory.iterdir()):
                tar.add(path, arcname=path.name)
        s3.upload_file(str(archive), target.bucket, target.key)
    except (ClientError, BotoCoreError, OSError) as error:
        raise JobFailedError(f"ClientError: Data upload to {uri} failed: {error}") from error
    finally:
        archive.unlink(missing_ok=True)


def _keys(s3: Any, source: S3Uri) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=source.bucket, Prefix=source.key):
        for item in page.get("Contents", []):
            if not item["Key"].endswith("/"):  # the empty object that stands for a folder
                yield item["Key"]


def _relative(prefix: str, key: str) -> Path:
    """Where an object lies below the input directory: an exact key is a file, a folder's name is cut off."""
    if key == prefix:
        return _inside(PurePosixPath(key).name)
    folder = prefix if not prefix or prefix.endswith("/") else prefix + "/"
    if not key.startswith(folder):  # the prefix ends inside a name
        folder = prefix[: prefix.rfind("/") + 1]
    return _inside(key[len(folder) :])


def _inside(name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise JobFailedError(f"ClientError: Data download failed: the key {name!r} is no relative path")
    return Path(*parts)


def _download_all(s3: Any, bucket: str, pairs: Iterable[tuple[str, Path]]) -> None:
    def download(pair: tuple[str, Path]) -> None:
        pair[1].parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, pair[0], str(pair[1]))

    _each(download, pairs)


def _each(do: Callable[[Any], None], items: Iterable[Any]) -> None:
    with ThreadPoolExecutor(_PARALLEL) as pool:
        for _ in pool.map(do, items):
            pass


def _parse(uri: str) -> S3Uri:
    try:
        return S3Uri.parse(uri)
    except ConfigurationError as error:
        raise JobFailedError(f"ClientError: {error}") from error


def _download_failed(uri: str, why: str) -> JobFailedError:
    return JobFailedError(f"ClientError: Data download failed for {uri}: {why}")
