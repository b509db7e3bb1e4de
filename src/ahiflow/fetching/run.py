"""Fetch one image set: what the fetcher container and `ahiflow fetch` both do."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ahiflow.errors import MalformedMetadataError, PermanentError
from ahiflow.fetching.destination import Destination, OutputFile, SuccessMarker, describe_file, parse_marker
from ahiflow.fetching.download import download
from ahiflow.fetching.outputs import RAW_FOLDER, Format, Outputs, build_document
from ahiflow.fetching.plan import FetchPlan, plan_fetch
from ahiflow.healthimaging.metadata import ImageSetMetadata, parse_metadata
from ahiflow.healthimaging.reader import ImageSetProperties, ImageSetReader, ImageSetRef
from ahiflow.image_set_document import (
    IMAGE_SET_FILE,
    PIXELS_FILE,
    VOLUME_FILE,
    FetchReport,
    ImageSetDocument,
    parse_image_set_document,
)
from ahiflow.keys import SUCCESS_MARKER
from ahiflow.pipeline_contract import LATEST_VERSION
from ahiflow.pseudonym import Pseudonyms


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What to fetch. ``version_id`` may be "latest"; ``maximum_frames`` 0 means no limit."""

    datastore_id: str
    image_set_id: str
    version_id: str
    formats: frozenset[Format]
    maximum_frames: int = 0
    frames_in_flight: int = 32


class Progress(Protocol):
    """Told of progress: first the total, then the number of frames done; from one thread at a time."""

    def total(self, frames: int) -> None:
        """The number of frames to get."""

    def done(self, frames: int) -> None:
        """The number of frames that are verified."""


class Silent:
    """Progress that nobody watches."""

    def total(self, frames: int) -> None:
        """Say nothing."""

    def done(self, frames: int) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The report (fetch.json) and the document (image_set.json) of the output."""

    report: FetchReport
    document: ImageSetDocument


def fetch_image_set(
    request: FetchRequest,
    reader: ImageSetReader,
    pseudonyms: Pseudonyms,
    destination_of: Callable[[str], Destination],
    progress: Progress | None = None,
) -> FetchResult:
    """Fetch, decode and verify every frame, then deliver the output; ``_SUCCESS`` last.

    "latest" is resolved first, and every later read is of that version; ``destination_of`` gets it. Nothing is
    delivered before every frame is verified. An output that is already complete is checked (files, sizes, document)
    and not fetched again.

    Raises an AhiflowError; the destination then has no ``_SUCCESS`` for what failed.
    """
    wanted = None if request.version_id == LATEST_VERSION else request.version_id
    properties = reader.get_image_set(ImageSetRef(request.datastore_id, request.image_set_id, wanted))
    destination = destination_of(properties.ref.version_id or "")
    present = _present(destination, properties, request.formats, pseudonyms)
    if present is not None:
        return FetchResult(_report(destination, present, already_present=True), present)
    metadata = _metadata(reader, properties.ref)
    plan = plan_fetch(metadata, maximum_frames=request.maximum_frames)
    document = _fetch(request, reader, pseudonyms, destination, properties, metadata, plan, progress or Silent())
    return FetchResult(_report(destination, document, already_present=False), document)


def _fetch(
    request: FetchRequest,
    reader: ImageSetReader,
    pseudonyms: Pseudonyms,
    destination: Destination,
    properties: ImageSetProperties,
    metadata: ImageSetMetadata,
    plan: FetchPlan,
    progress: Progress,
) -> ImageSetDocument:
    progress.total(len(plan.frames))
    with _scratch() as scratch:
        outputs = Outputs(scratch, plan, request.formats)
        arrays = outputs.create_arrays()
        fetched = download(
            reader,
            properties.ref,
            plan.frames,
            arrays,
            frames_in_flight=request.frames_in_flight,
            progress=progress.done,
            keep_stored=outputs.keep_stored,
        )
        outputs.write_volume(arrays)
        for array in arrays:
            array.flush()  # type: ignore[attr-defined]
        names = outputs.files()
        document = build_document(metadata, properties, plan, fetched, (*names, IMAGE_SET_FILE), pseudonyms)
        (scratch / IMAGE_SET_FILE).write_text(document.model_dump_json(indent=1) + "\n")
        described: dict[str, OutputFile] = {}
        for name in (*names, IMAGE_SET_FILE):
            described[name] = describe_file(scratch / name)
            destination.put(name, scratch / name)
        destination.complete(SuccessMarker(files=described))
    return document


def _metadata(reader: ImageSetReader, ref: ImageSetRef) -> ImageSetMetadata:
    metadata = parse_metadata(reader.get_metadata(ref))
    if (metadata.datastore_id, metadata.image_set_id) != (ref.datastore_id, ref.image_set_id):
        raise MalformedMetadataError(f"the metadata of {ref} names another image set")
    return metadata


def _present(
    destination: Destination, properties: ImageSetProperties, formats: frozenset[Format], pseudonyms: Pseudonyms
) -> ImageSetDocument | None:
    """The document of a complete output of this version, in these formats, made with this key. None otherwise."""
    marker_content, content = destination.read(SUCCESS_MARKER), destination.read(IMAGE_SET_FILE)
    if marker_content is None or content is None:
        return None
    files = parse_marker(marker_content).files
    described = files.get(IMAGE_SET_FILE)
    if described is None or described.sha256 != hashlib.sha256(content).hexdigest():
        return None
    try:
        document = parse_image_set_document(content)
    except MalformedMetadataError:  # written by another version of ours
        return None
    ref = properties.ref
    same = (document.datastore_id, document.image_set_id, document.version_id) == (
        ref.datastore_id,
        ref.image_set_id,
        ref.version_id,
    )
    if not same or document.provenance.pseudonym_key_check != pseudonyms.key_check():
        return None
    if not _expected(document, formats) <= files.keys():
        return None
    whole = all(destination.size(name) == file.size for name, file in files.items())
    return document if whole else None


def _expected(document: ImageSetDocument, formats: frozenset[Format]) -> frozenset[str]:
    expected = {IMAGE_SET_FILE}
    if "npy" in formats and document.pixels is not None:
        expected |= {PIXELS_FILE, *(array.file for array in document.further_pixels)}
    if "nifti" in formats and document.geometry is not None:
        expected.add(VOLUME_FILE)
    if "raw" in formats and document.frames:
        expected |= {name for name in document.files if name.startswith(f"{RAW_FOLDER}/")} or {RAW_FOLDER}
    return frozenset(expected)


def _report(destination: Destination, document: ImageSetDocument, *, already_present: bool) -> FetchReport:
    return FetchReport(
        image_set_uri=destination.uri,
        datastore_id=document.datastore_id,
        image_set_id=document.image_set_id,
        version_id=document.version_id,
        is_primary=document.is_primary,
        frames_fetched=len(document.frames),
        frames_verified=len(document.frames),
        already_present=already_present,
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    """A directory of our own, removed whatever happens. A full disk is an error of one line."""
    try:
        with tempfile.TemporaryDirectory(prefix="ahiflow-") as name:
            yield Path(name)
    except OSError as error:
        free = shutil.disk_usage(tempfile.gettempdir()).free
        raise PermanentError(f"local disk: {error.strerror or type(error).__name__} ({free} bytes free)") from error
