"""The fetcher container: argv and environment in, one verified image set in the artifacts bucket out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol, cast

from ahiflow.errors import ConfigurationError
from ahiflow.fetching.destination import Destination, S3Destination
from ahiflow.fetching.outputs import Format
from ahiflow.fetching.run import FetchRequest, FetchResult, Progress, fetch_image_set
from ahiflow.healthimaging.reader import Boto3ImageSetReader
from ahiflow.identifiers import parse_datastore_id, parse_image_set_id, parse_image_set_version_id
from ahiflow.keys import image_set_prefix
from ahiflow.pipeline_contract import FETCH_FILE, LATEST_VERSION, OUTPUT_FETCH, container_root, processing_output
from ahiflow.pseudonym import Pseudonyms
from ahiflow.s3uri import S3Uri
from ahiflow.settings import FetcherSettings


class ClientFactory(Protocol):
    """``ahiflow.aws.client``, or a test's."""

    def __call__(self, service: str, *, max_connections: int = 10) -> Any: ...  # noqa: D102


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message)


def run(arguments: Sequence[str], environ: Mapping[str, str], client: ClientFactory, progress: Progress) -> FetchResult:
    """Fetch what the arguments name and write ``fetch.json``. Raises an AhiflowError."""
    settings = FetcherSettings.from_environ(environ)
    request = _request(arguments, settings)
    s3 = client("s3")

    def destination_of(version_id: str) -> Destination:
        prefix = image_set_prefix(request.datastore_id, request.image_set_id, version_id)
        return S3Destination(s3, S3Uri(settings.artifacts_bucket_name, prefix))

    reader = Boto3ImageSetReader(client("medical-imaging", max_connections=settings.frames_in_flight))
    pseudonyms = Pseudonyms.from_secret(client("secretsmanager"), settings.pseudonym_secret_id)
    result = fetch_image_set(request, reader, pseudonyms, destination_of, progress)
    output = processing_output(OUTPUT_FETCH, container_root(environ))
    output.mkdir(parents=True, exist_ok=True)
    (output / FETCH_FILE).write_text(result.report.model_dump_json(indent=1) + "\n")
    return result


def write_message(message: str, environ: Mapping[str, str]) -> Path:
    """Leave the reason of a failure where SageMaker reads it (ExitMessage): ``output/message``."""
    path = container_root(environ) / "output" / "message"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(message)
    return path


def _request(arguments: Sequence[str], settings: FetcherSettings) -> FetchRequest:
    parser = _Parser(prog="fetcher_image", add_help=False)
    parser.add_argument("--datastore-id", required=True)
    parser.add_argument("--image-set-id", required=True)
    parser.add_argument("--version-id", default=LATEST_VERSION)
    parsed = parser.parse_args(arguments)
    version_id = parsed.version_id
    return FetchRequest(
        datastore_id=parse_datastore_id(parsed.datastore_id),
        image_set_id=parse_image_set_id(parsed.image_set_id),
        version_id=version_id if version_id == LATEST_VERSION else parse_image_set_version_id(version_id),
        formats=frozenset(cast("Format", name) for name in settings.output_format.split(",")),
        maximum_frames=settings.max_frames_per_imageset,
        frames_in_flight=settings.frames_in_flight,
    )
