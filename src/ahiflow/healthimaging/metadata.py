"""Pure parser of the image set metadata document (schema 1.1) into frozen dataclasses.

Takes documents of both eras: 2023 (three checksum levels, no StoredTransferSyntaxUID, ``"PixelData": null``) and 2025
(one checksum, ChecksumType). What cannot be understood raises MalformedMetadataError naming the JSON path; instances
and series are named by their index, never by their UID.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ahiflow.errors import MalformedMetadataError
from ahiflow.healthimaging.attributes import Attributes


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """The Image Pixel attributes needed to interpret a frame's bytes (PS3.3 C.7.6.3).

    ``pixel_representation`` is None for floating point pixels (PS3.3 C.7.6.24), which have no such attribute.
    """

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int | None
    photometric_interpretation: str
    planar_configuration: int


@dataclass(frozen=True, slots=True)
class FrameChecksum:
    """HealthImaging's CRC32 of one frame at full resolution, and the size it was computed at, in pixels."""

    width: int
    height: int
    crc32: int


@dataclass(frozen=True, slots=True)
class ImageFrame:
    """One retrievable frame. ``checksum`` is that of the largest width; None where HealthImaging computed none.

    FrameSizeInBytes is left out on purpose: it is the decoded size in one era and the encoded size in the other.
    """

    image_frame_id: str
    checksum: FrameChecksum | None


@dataclass(frozen=True, slots=True)
class Instance:
    """One SOP instance. ``image_frames[k]`` is frame number k + 1. ``pixels`` is None when it has no image."""

    path: str
    sop_instance_uid: str
    attributes: Attributes
    stored_transfer_syntax_uid: str | None
    image_frames: tuple[ImageFrame, ...]
    pixels: ImagePixel | None


@dataclass(frozen=True, slots=True)
class Series:
    """One series with its hoisted attributes. The order of ``instances`` is the document's and means nothing."""

    series_instance_uid: str
    attributes: Attributes
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class ImageSetMetadata:
    """A whole document."""

    schema_version: str
    datastore_id: str
    image_set_id: str
    patient: Attributes
    study: Attributes
    study_instance_uid: str
    series: tuple[Series, ...]

    def instances(self) -> Iterator[tuple[Series, Instance]]:
        """Every instance with its series."""
        for series in self.series:
            for instance in series.instances:
                yield series, instance


def parse_metadata(document: bytes) -> ImageSetMetadata:
    """Parse a decompressed metadata document. Raises MalformedMetadataError, and nothing else, on any bytes."""
    try:
        root = json.loads(document, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedMetadataError("the image set metadata is not JSON") from error
    try:
        return _image_set(_object(root, "document"))
    except RecursionError as error:
        raise MalformedMetadataError("the image set metadata is nested too deeply") from error


def _image_set(root: Mapping[str, Any]) -> ImageSetMetadata:
    study = _object(root.get("Study"), "Study")
    study_attributes = _attributes(study, "Study")
    by_uid = _object_of_some(study.get("Series"), "Study.Series")
    study_instance_uid = study_attributes.text("StudyInstanceUID")
    if study_instance_uid is None:
        raise MalformedMetadataError("Study.DICOM.StudyInstanceUID is missing")
    return ImageSetMetadata(
        schema_version=_string(root, "SchemaVersion", ""),
        datastore_id=_string(root, "DatastoreID", ""),
        image_set_id=_string(root, "ImageSetID", ""),
        patient=_attributes(_object(root.get("Patient"), "Patient"), "Patient"),
        study=study_attributes,
        study_instance_uid=study_instance_uid,
        series=tuple(
            _series(uid, _object(value, f"Study.Series[{index}]"), f"Study.Series[{index}]")
            for index, (uid, value) in enumerate(by_uid.items())
        ),
    )


def _series(uid: str, value: Mapping[str, Any], path: str) -> Series:
    by_uid = _object_of_some(value.get("Instances"), f"{path}.Instances")
    return Series(
        series_instance_uid=uid,
        attributes=_attributes(value, path),
        instances=tuple(
            _instance(uid, _object(instance, f"{path}.Instances[{index}]"), f"{path}.Instances[{index}]")
            for index, (uid, instance) in enumerate(by_uid.items())
        ),
    )


def _instance(uid: str, value: Mapping[str, Any], path: str) -> Instance:
    attributes = _attributes(value, path)
    stored = value.get("StoredTransferSyntaxUID")
    if stored is not None and not isinstance(stored, str):
        raise MalformedMetadataError(f"{path}.StoredTransferSyntaxUID is not a string")
    listed = value.get("ImageFrames")
    if listed is not None and not isinstance(listed, list):
        raise MalformedMetadataError(f"{path}.ImageFrames is not a list")
    frames = tuple(_image_frame(frame, f"{path}.ImageFrames[{index}]") for index, frame in enumerate(listed or ()))
    pixels = _image_pixel(attributes) if frames else None
    _check_frame_count(attributes, len(frames), path)
    return Instance(path, uid, attributes, (stored or "").strip(" \0") or None, frames, pixels)


def _check_frame_count(attributes: Attributes, listed: int, path: str) -> None:
    """An instance that says it has an image must list all of its frames: fewer would be a partial volume."""
    has_image = attributes.has("Rows") and attributes.has("Columns") and attributes.has("BitsAllocated")
    if not listed and not has_image:
        return
    number_of_frames = attributes.integer("NumberOfFrames")
    expected = 1 if number_of_frames is None else number_of_frames
    if listed != expected:
        raise MalformedMetadataError(f"{path}.ImageFrames lists {listed} frames instead of {expected}")


def _image_pixel(attributes: Attributes) -> ImagePixel:
    bits_allocated = attributes.required_integer("BitsAllocated", 1, 64)
    return ImagePixel(
        rows=attributes.required_integer("Rows", 1, 65_535),  # VR US (PS3.5 section 6.2)
        columns=attributes.required_integer("Columns", 1, 65_535),
        samples_per_pixel=_or(attributes.integer("SamplesPerPixel"), 1),
        bits_allocated=bits_allocated,
        bits_stored=_or(attributes.integer("BitsStored"), bits_allocated),
        pixel_representation=attributes.integer("PixelRepresentation"),
        photometric_interpretation=attributes.text("PhotometricInterpretation") or "MONOCHROME2",
        planar_configuration=_or(attributes.integer("PlanarConfiguration"), 0),
    )


def _image_frame(value: Any, path: str) -> ImageFrame:
    frame = _object(value, path)
    image_frame_id = frame.get("ID")
    if not isinstance(image_frame_id, str) or not image_frame_id:
        raise MalformedMetadataError(f"{path}.ID is not a string")
    path = f"{path}.PixelDataChecksumFromBaseToFullResolution"
    levels = frame.get("PixelDataChecksumFromBaseToFullResolution") or []
    if not isinstance(levels, list):
        raise MalformedMetadataError(f"{path} is not a list")
    checksums = [_checksum(_object(level, f"{path}[{k}]"), f"{path}[{k}]") for k, level in enumerate(levels)]
    return ImageFrame(image_frame_id, max(checksums, key=lambda checksum: checksum.width, default=None))


def _checksum(level: Mapping[str, Any], path: str) -> FrameChecksum:
    numbers = []
    for name in ("Width", "Height", "Checksum"):
        number = level.get(name)
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 0xFFFFFFFF:
            raise MalformedMetadataError(f"{path}.{name} is not a whole number of 32 bits")
        numbers.append(number)
    return FrameChecksum(*numbers)


def _attributes(level: Mapping[str, Any], path: str) -> Attributes:
    return Attributes(f"{path}.DICOM", _object(level.get("DICOM", {}), f"{path}.DICOM"))


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise MalformedMetadataError(f"{path} is {'missing' if value is None else 'not an object'}")
    return value


def _object_of_some(value: Any, path: str) -> Mapping[str, Any]:
    found = _object(value, path)
    if not found:
        raise MalformedMetadataError(f"{path} is empty")
    return found


def _string(level: Mapping[str, Any], name: str, path: str) -> str:
    value = level.get(name)
    if isinstance(value, float):  # updates are sent with a number here; a document could follow
        value = str(value)
    if not isinstance(value, str):
        raise MalformedMetadataError(f"{path}{name} is not a string")
    return value


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
