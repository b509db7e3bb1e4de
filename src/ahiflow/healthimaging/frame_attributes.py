"""Attributes of one frame, wherever the object keeps them: in the instance, or in functional groups.

Enhanced multi-frame objects (PS3.3 C.7.6.16) keep position, orientation, spacing and rescale in per-frame groups, and
those that are equal for all frames in shared groups; classic objects keep them in the instance.
"""

from __future__ import annotations

from dataclasses import dataclass

from ahiflow.errors import MalformedMetadataError
from ahiflow.healthimaging.attributes import Attributes
from ahiflow.healthimaging.metadata import Instance, Series

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class FramePlane:
    """Where one frame stands (PS3.3 C.7.6.2): LPS patient coordinates in mm.

    ``row_direction`` is the unit vector along a row (towards higher column index), ``column_direction`` along a
    column. ``pixel_spacing`` is (between rows, between columns). ``slice_spacing`` is what the object says, for a
    volume of one frame only: Spacing Between Slices, else Slice Thickness.
    """

    position: Vector
    row_direction: Vector
    column_direction: Vector
    pixel_spacing: tuple[float, float]
    slice_spacing: float | None


@dataclass(frozen=True, slots=True)
class Rescale:
    """``output = stored * slope + intercept`` (PS3.3 C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0


def frame_plane(instance: Instance, index: int) -> FramePlane | None:
    """Plane of frame ``index`` (0-based). None when the object does not say where the frame stands."""
    position = _group(instance, index, "PlanePositionSequence").numbers("ImagePositionPatient", 3)
    orientation = _group(instance, index, "PlaneOrientationSequence").numbers("ImageOrientationPatient", 6)
    measures = _group(instance, index, "PixelMeasuresSequence")
    pixel_spacing = measures.numbers("PixelSpacing", 2)
    if not (position and orientation and pixel_spacing):
        return None
    between = measures.number("SpacingBetweenSlices")
    return FramePlane(
        position=_vector(position),
        row_direction=_vector(orientation[:3]),
        column_direction=_vector(orientation[3:]),
        pixel_spacing=(pixel_spacing[0], pixel_spacing[1]),
        slice_spacing=between if between else measures.number("SliceThickness"),
    )


def frame_rescale(instance: Instance, index: int) -> Rescale:
    """Rescale of frame ``index`` (0-based); the identity when there is none. Raises MalformedMetadataError on half a
    rescale, which would give wrong values in silence.
    """
    group = _group(instance, index, "PixelValueTransformationSequence")
    slope, intercept = group.number("RescaleSlope"), group.number("RescaleIntercept")
    if slope is None and intercept is None:
        return Rescale()
    if slope is None or intercept is None:
        raise MalformedMetadataError(f"{group.path} has only one of RescaleSlope and RescaleIntercept")
    return Rescale(slope, intercept)


def value_map_problem(series: Series, instance: Instance) -> str | None:
    """Why rescale alone does not give this instance's output values, or why its frames are no planes. None if fine."""
    if instance.attributes.has("ModalityLUTSequence"):
        return "a Modality LUT, not a rescale, maps the stored values"
    if "MOSAIC" in instance.attributes.texts("ImageType"):
        return "Siemens mosaic: one frame holds many slices"
    modality = series.attributes.text("Modality") or instance.attributes.text("Modality")
    return "a whole slide image has no patient planes" if modality == "SM" else None


def _group(instance: Instance, index: int, sequence: str) -> Attributes:
    """The functional group macro of the frame; the instance itself where there is none."""
    per_frame = instance.attributes.item("PerFrameFunctionalGroupsSequence", index)
    if per_frame is None and instance.attributes.has("PerFrameFunctionalGroupsSequence"):
        raise MalformedMetadataError(f"{instance.attributes.path}.PerFrameFunctionalGroupsSequence is too short")
    for level in (per_frame, instance.attributes.item("SharedFunctionalGroupsSequence", 0)):
        item = level.item(sequence, 0) if level is not None else None
        if item is not None:
            return item
    return instance.attributes


def _vector(numbers: tuple[float, ...]) -> Vector:
    return numbers[0], numbers[1], numbers[2]
