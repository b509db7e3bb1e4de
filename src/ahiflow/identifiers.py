"""Identifiers, parsed once at the door and trusted after (shapes from botocore's medical-imaging model, PS3.5 §9)."""

from __future__ import annotations

import re
from typing import NewType

from ahiflow.errors import ConfigurationError

DatastoreId = NewType("DatastoreId", str)
ImageSetId = NewType("ImageSetId", str)
ImageFrameId = NewType("ImageFrameId", str)
ImportJobId = NewType("ImportJobId", str)
ImageSetVersionId = NewType("ImageSetVersionId", str)
BatchId = NewType("BatchId", str)
DicomUid = NewType("DicomUid", str)

_RESOURCE_ID = re.compile(r"[0-9a-z]{32}")  # shapes DatastoreId, ImageSetId, ImageFrameId
_VERSION_ID = re.compile(r"\d+")  # shape ImageSetExternalVersionId
_BATCH_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}")
_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*")  # PS3.5 §9.1


def parse_datastore_id(text: str) -> DatastoreId:
    """Parse a data store id. Raises ConfigurationError, which quotes the text."""
    return DatastoreId(_resource_id(text, "data store id"))


def parse_image_set_id(text: str) -> ImageSetId:
    """Parse an image set id. Raises ConfigurationError, which quotes the text."""
    return ImageSetId(_resource_id(text, "image set id"))


def parse_image_set_version_id(text: str) -> ImageSetVersionId:
    """Parse an image set version id, a decimal string. Raises ConfigurationError."""
    if not _VERSION_ID.fullmatch(text):
        raise ConfigurationError(f"not an image set version id (decimal digits): {text!r}")
    return ImageSetVersionId(text)


def parse_batch_id(text: str) -> BatchId:
    """Parse a batch id, ``YYYYMMDDTHHMMSSZ-<16 hex>``: it sorts by time and fits in an import job's name."""
    if not _BATCH_ID.fullmatch(text):
        raise ConfigurationError(f"not a batch id: {text!r}")
    return BatchId(text)


def is_uid(text: str) -> bool:
    """Whether the text is a UID: at most 64 characters of dotted decimal components (PS3.5 §9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _resource_id(text: str, what: str) -> str:
    if not _RESOURCE_ID.fullmatch(text):
        raise ConfigurationError(f"not a HealthImaging {what} (32 of a-z, 0-9): {text!r}")
    return text
