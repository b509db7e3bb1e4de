"""Reads image sets: the protocol that fetching is written against, and its implementation with boto3."""

from __future__ import annotations

import gzip
import random
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import botocore.exceptions
import urllib3.exceptions

from ahiflow.aws_errors import translated
from ahiflow.errors import MalformedMetadataError, NotFoundError, ServiceUnavailableError, TransientError

_GZIP: Final = b"\x1f\x8b"
_DELETED: Final = "DELETED"  # shape ImageSetState
_FIRST_DELAY_SECONDS: Final = 0.2
_LONGEST_DELAY_SECONDS: Final = 8.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ImageSetRef:
    """One version of one image set. ``version_id`` None means the latest, and is only for get_image_set."""

    datastore_id: str
    image_set_id: str
    version_id: str | None = None

    def __str__(self) -> str:
        version = "" if self.version_id is None else f" version {self.version_id}"
        return f"image set {self.image_set_id}{version} in data store {self.datastore_id}"


@dataclass(frozen=True, slots=True)
class ImageSetProperties:
    """What GetImageSet says. ``is_primary`` is false for image sets whose metadata conflicts with the primary one."""

    ref: ImageSetRef
    is_primary: bool


class ImageSetReader(Protocol):
    """Contract: thread-safe; NotFoundError for what does not exist; TransientError only when the time is up."""

    def get_image_set(self, ref: ImageSetRef) -> ImageSetProperties:
        """Properties, with the version resolved."""

    def get_metadata(self, ref: ImageSetRef) -> bytes:
        """The metadata document of the pinned version, decompressed."""

    def get_frame(self, ref: ImageSetRef, image_frame_id: str) -> bytes:
        """One frame, whole, as stored."""


class Boto3ImageSetReader:
    """ImageSetReader on a ``medical-imaging`` client.

    botocore itself retries throttling and 5xx; on top of that every transient failure, 409 ("metadata is not
    consistent yet") and cut bodies included, is retried with back-off until ``deadline_seconds`` have passed.
    """

    def __init__(
        self,
        client: Any,
        *,
        deadline_seconds: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._deadline_seconds = deadline_seconds
        self._sleep = sleep
        self._clock = clock

    def get_image_set(self, ref: ImageSetRef) -> ImageSetProperties:
        """Properties, with the version resolved. Raises NotFoundError also when the image set was deleted."""
        version = {} if ref.version_id is None else {"versionId": ref.version_id}
        answer = self._retrying(str(ref), lambda: self._client.get_image_set(**_ids(ref), **version))
        if answer["imageSetState"] == _DELETED:
            raise NotFoundError(f"{ref} was deleted")
        resolved = ImageSetRef(ref.datastore_id, ref.image_set_id, answer["versionId"])
        # Absent from answers of before May 2025, when every image set was on its own.
        return ImageSetProperties(resolved, bool(answer.get("isPrimary", True)))

    def get_metadata(self, ref: ImageSetRef) -> bytes:
        """The metadata document, decompressed where it is gzip by its magic: botocore hands out the raw bytes."""

        def call() -> bytes:
            answer = self._client.get_image_set_metadata(**_ids(ref), versionId=ref.version_id)
            return _whole(answer["imageSetMetadataBlob"])

        document = self._retrying(f"the metadata of {ref}", call)
        if not document.startswith(_GZIP):
            return document
        try:
            return gzip.decompress(document)
        except (OSError, EOFError, zlib.error) as error:
            raise MalformedMetadataError(f"the metadata of {ref} is not whole gzip") from error

    def get_frame(self, ref: ImageSetRef, image_frame_id: str) -> bytes:
        """One frame, whole, as stored."""

        def call() -> bytes:
            information = {"imageFrameId": image_frame_id}
            answer = self._client.get_image_frame(**_ids(ref), imageFrameInformation=information)
            return _whole(answer["imageFrameBlob"])

        return self._retrying(f"frame {image_frame_id} of {ref}", call)

    def _retrying(self, what: str, call: Callable[[], Result]) -> Result:
        end = self._clock() + self._deadline_seconds
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                with translated(what):
                    return call()
            except TransientError:
                if self._clock() + delay > end:
                    raise
            self._sleep(delay * random.uniform(0.5, 1.0))
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)


def _ids(ref: ImageSetRef) -> dict[str, str]:
    return {"datastoreId": ref.datastore_id, "imageSetId": ref.image_set_id}


def _whole(body: Any) -> bytes:
    """Read a streaming body. botocore compares it with Content-Length; a cut one raises ServiceUnavailableError."""
    try:
        content: bytes = body.read()
    except (botocore.exceptions.HTTPClientError, urllib3.exceptions.HTTPError, OSError) as error:
        raise ServiceUnavailableError(f"the answer was cut off ({type(error).__name__})") from error
    return content
