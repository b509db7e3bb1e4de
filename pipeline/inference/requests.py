"""What may be sent to the endpoint, and how it becomes slices. Everything malformed is a BadRequestError.

No message repeats anything from the request: it could be a patient's.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError

from ahiflow.errors import AhiflowError, PermanentError
from ahiflow.identifiers import parse_datastore_id, parse_image_set_id, parse_image_set_version_id
from ahiflow.image_set_document import IMAGE_SET_FILE, PIXELS_FILE
from ahiflow.s3uri import S3Uri
from pipeline.imaging import SlicesNHW, evenly_spaced, load_image_set, modality_values

DICOM, NPY, JSON = "application/dicom", "application/x-npy", "application/json"
SLOPE_HEADER, INTERCEPT_HEADER = "x-rescale-slope", "x-rescale-intercept"
# InvokeEndpoint passes one free header on to the container (shape InvokeEndpointInput, CustomAttributes).
CUSTOM_ATTRIBUTES_HEADER = "x-amzn-sagemaker-custom-attributes"


class BadRequestError(PermanentError):
    """A request that cannot be answered; the message is for the caller (HTTP 400)."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked about. ``modality`` is None where the request does not say."""

    slices: SlicesNHW
    modality: str | None


Fetch = Callable[[S3Uri, Path], None]


def read_query(content_type: str, headers: Mapping[str, str], body: bytes, maximum_slices: int, fetch: Fetch) -> Query:
    """Read one request (header names in lower case); ``fetch(uri, path)`` downloads. Raises BadRequestError."""
    kind = content_type.partition(";")[0].strip().lower()
    if not body:
        raise BadRequestError("the request has no body")
    if kind == DICOM:
        return read_dicom(body, maximum_slices)
    if kind == NPY:
        return read_npy(body, headers, maximum_slices)
    if kind == JSON:
        return read_reference(body, maximum_slices, fetch)
    raise BadRequestError(f"Content-Type must be {DICOM}, {NPY} or {JSON}")


def read_dicom(body: bytes, maximum_slices: int) -> Query:
    """One Part 10 file (PS3.10), single- or multi-frame."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(body))
        pixels = np.asarray(dataset.pixel_array)
        frames = int(dataset.get("NumberOfFrames") or 1)
        stored = pixels if frames > 1 else pixels[None]
        slope, intercept = _rescale_of(dataset)
        photometric_interpretation = str(dataset.PhotometricInterpretation)
    except InvalidDicomError as error:
        raise BadRequestError("not a DICOM Part 10 file") from error
    except NotImplementedError as error:
        raise BadRequestError("the file's transfer syntax cannot be decoded here: send it uncompressed") from error
    except (AttributeError, KeyError, ValueError, TypeError, RuntimeError, OSError, IndexError) as error:
        raise BadRequestError("the DICOM file has no usable pixel data") from error
    chosen = evenly_spaced(len(stored), maximum_slices)
    scale = np.full(len(chosen), slope, np.float32), np.full(len(chosen), intercept, np.float32)
    return Query(modality_values(stored[chosen], photometric_interpretation, *scale), str(dataset.get("Modality", "")))


def read_npy(body: bytes, headers: Mapping[str, str], maximum_slices: int) -> Query:
    """Stored values (slice, row, column) or (row, column), little endian; rescale from headers, else 1 and 0."""
    try:
        array: npt.NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, OSError, EOFError, TypeError, SyntaxError) as error:
        raise BadRequestError("not a NumPy array file") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or array.ndim not in (2, 3) or not array.size:
        raise BadRequestError("the array must hold numbers with axes (slice, row, column) or (row, column)")
    if not np.isfinite(array).all():
        raise BadRequestError("the array holds values that are not finite")
    stored = array if array.ndim == 3 else array[None]
    slope, intercept = rescale_from_headers(headers)
    chosen = evenly_spaced(len(stored), maximum_slices)
    scale = np.full(len(chosen), slope, np.float32), np.full(len(chosen), intercept, np.float32)
    return Query(modality_values(stored[chosen], "MONOCHROME2", *scale), None)


def read_reference(body: bytes, maximum_slices: int, fetch: Fetch) -> Query:
    """``{"image_set_uri": "s3://.../image-sets/<datastore>/<image set>/<version>/"}``, as in ``fetch.json``."""
    try:
        document = json.loads(body)
        uri = S3Uri.parse(document["image_set_uri"])
        datastore_id, image_set_id, version_id = uri.key.rstrip("/").split("/")[-3:]
        parse_datastore_id(datastore_id)
        parse_image_set_id(image_set_id)
        parse_image_set_version_id(version_id)
    except (ValueError, KeyError, TypeError, AttributeError, AhiflowError) as error:
        raise BadRequestError(
            'expected {"image_set_uri": "s3://<bucket>/image-sets/<datastore>/<id>/<version>/"}'
        ) from error
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / image_set_id / version_id
        folder.mkdir(parents=True)
        try:
            for name in (IMAGE_SET_FILE, PIXELS_FILE):
                fetch(uri / name, folder / name)
            pixels = load_image_set(folder, maximum_slices)
        except PermanentError as error:
            raise BadRequestError(f"the image set cannot be used: {error}") from error
    return Query(pixels.slices, pixels.modality)


def rescale_from_headers(headers: Mapping[str, str]) -> tuple[float, float]:
    """Slope and intercept from their headers, or from ``slope=1,intercept=-1024`` in the custom attributes."""
    pairs = (part.partition("=") for part in headers.get(CUSTOM_ATTRIBUTES_HEADER, "").split(","))
    custom = {name.strip().lower(): value.strip() for name, _, value in pairs}
    try:
        slope = float(headers.get(SLOPE_HEADER) or custom.get("slope") or 1.0)
        intercept = float(headers.get(INTERCEPT_HEADER) or custom.get("intercept") or 0.0)
    except ValueError as error:
        raise BadRequestError("rescale slope and intercept must be numbers") from error
    if not np.isfinite([slope, intercept]).all():
        raise BadRequestError("rescale slope and intercept must be finite")
    return slope, intercept


def _rescale_of(dataset: pydicom.Dataset) -> tuple[float, float]:
    """Rescale of the image, or of the functional groups' first item (PS3.3 C.7.6.16.2.9); 1 and 0 without one."""
    for groups in (dataset.get("SharedFunctionalGroupsSequence"), dataset.get("PerFrameFunctionalGroupsSequence")):
        if groups and groups[0].get("PixelValueTransformationSequence"):
            item = groups[0].PixelValueTransformationSequence[0]
            return float(item.RescaleSlope), float(item.RescaleIntercept)
    return float(dataset.get("RescaleSlope", 1.0)), float(dataset.get("RescaleIntercept", 0.0))
