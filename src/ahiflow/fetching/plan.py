"""Pure: from parsed metadata to the ordered frames to get, the arrays they go into, and the geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahiflow.errors import ConfigurationError, MalformedMetadataError
from ahiflow.healthimaging.frame_attributes import FramePlane, Rescale, frame_plane, frame_rescale, value_map_problem
from ahiflow.healthimaging.metadata import FrameChecksum, ImagePixel, ImageSetMetadata, Instance, Series
from ahiflow.image_set_document import PIXELS_FILE
from ahiflow.pixels.stored_values import frame_shape, stored_dtype
from ahiflow.pixels.transfer_syntaxes import HTJ2K_LOSSLESS_RPCL, JPEG_2000_FAMILY
from ahiflow.pixels.volume import Arrangement, arrange

_NIFTI_LARGEST_DIMENSION: Final = 32_767  # dim is int16 in NIfTI-1
NO_PIXELS: Final = "no instance of the image set has pixel data"


@dataclass(frozen=True, slots=True)
class PlannedFrame:
    """One frame to get. ``frame_number`` is 1-based in its instance; ``index`` 0-based in array number ``array``."""

    image_frame_id: str
    sop_instance_uid: str
    frame_number: int
    pixels: ImagePixel
    stored_transfer_syntax_uid: str | None
    checksum: FrameChecksum
    rescale: Rescale
    array: int
    index: int


@dataclass(frozen=True, slots=True)
class PlannedArray:
    """One array file: ``(frames, rows, columns[, samples])`` of ``dtype``."""

    file: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    photometric_interpretation: str


@dataclass(frozen=True, slots=True)
class FetchPlan:
    """What to get. ``frames`` are sorted by (array, index). The affine is that of array 0, else there is a reason."""

    frames: tuple[PlannedFrame, ...]
    arrays: tuple[PlannedArray, ...]
    affine_ras: NDArray[np.float64] | None
    no_volume_reason: str | None

    @property
    def no_pixels_reason(self) -> str | None:
        """Why there is nothing to get; None when there is."""
        return None if self.frames else NO_PIXELS


@dataclass(frozen=True, slots=True)
class _Candidate:
    series: Series
    instance: Instance
    index: int

    @property
    def order(self) -> tuple[str, bool, int, str, int]:
        """Series, then instance number (none last), then UID, then frame: total, whatever the document's order."""
        number = self.instance.attributes.integer("InstanceNumber")
        return (
            self.series.series_instance_uid,
            number is None,
            number or 0,
            self.instance.sop_instance_uid,
            self.index,
        )


def plan_fetch(metadata: ImageSetMetadata, *, maximum_frames: int = 0) -> FetchPlan:
    """Plan a whole image set; ``maximum_frames`` 0 means no limit.

    Frames of equal shape, dtype and colour go into one array. The array with the most frames comes first and has its
    frames in the order of its geometry where that is regular; all others are in the order of instance number.

    Raises MalformedMetadataError for frames that could not be verified, ConfigurationError above the limit.
    """
    candidates = sorted(
        (
            _Candidate(series, instance, index)
            for series, instance in metadata.instances()
            for index in range(len(instance.image_frames))
        ),
        key=lambda candidate: candidate.order,
    )
    if maximum_frames and len(candidates) > maximum_frames:
        raise ConfigurationError(
            f"the image set has {len(candidates)} frames: MAX_FRAMES_PER_IMAGESET allows {maximum_frames}"
        )
    groups = _groups(candidates)
    if not groups:
        return FetchPlan((), (), None, NO_PIXELS)
    arrangement = _arrange(groups[0])
    groups[0] = [groups[0][k] for k in arrangement.order]
    return FetchPlan(
        frames=tuple(
            _planned(candidate, array, index)
            for array, group in enumerate(groups)
            for index, candidate in enumerate(group)
        ),
        arrays=tuple(_array(array, group) for array, group in enumerate(groups)),
        affine_ras=arrangement.affine_ras,
        no_volume_reason=arrangement.reason,
    )


def decoded_photometric_interpretation(instance: Instance) -> str:
    """Colour space of the decoded samples: JPEG 2000's component transforms come back as RGB (PS3.5 section 8.2.4)."""
    photometric = instance.pixels.photometric_interpretation if instance.pixels else ""
    syntax = instance.stored_transfer_syntax_uid or HTJ2K_LOSSLESS_RPCL
    if syntax in JPEG_2000_FAMILY and photometric in ("YBR_RCT", "YBR_ICT"):
        return "RGB"
    return photometric


def _groups(candidates: Sequence[_Candidate]) -> list[list[_Candidate]]:
    """Split by what one array cannot mix; the largest group first, ties in the order of the first frame."""
    groups: dict[Any, list[_Candidate]] = {}
    for candidate in candidates:
        pixels = _pixels(candidate.instance)
        colour = decoded_photometric_interpretation(candidate.instance)
        groups.setdefault((frame_shape(pixels), stored_dtype(pixels), colour), []).append(candidate)
    return sorted(groups.values(), key=len, reverse=True)


def _arrange(group: Sequence[_Candidate]) -> Arrangement:
    reason = _no_volume(group)
    if reason is not None:
        return Arrangement(tuple(range(len(group))), None, reason)
    planes: list[FramePlane | None] = [frame_plane(candidate.instance, candidate.index) for candidate in group]
    return arrange(planes)


def _no_volume(group: Sequence[_Candidate]) -> str | None:
    pixels = _pixels(group[0].instance)
    if pixels.samples_per_pixel != 1 or pixels.photometric_interpretation == "PALETTE COLOR":
        return "colour frames"
    if max(len(group), pixels.rows, pixels.columns) > _NIFTI_LARGEST_DIMENSION:
        return "larger than a NIfTI file can say"
    if len({candidate.series.series_instance_uid for candidate in group}) > 1:
        return "frames of several series"
    if len({candidate.series.attributes.text("FrameOfReferenceUID") for candidate in group}) > 1:
        return "frames of several frames of reference"
    instances = {id(candidate.instance): candidate for candidate in group}.values()
    problems = (value_map_problem(candidate.series, candidate.instance) for candidate in instances)
    return next((problem for problem in problems if problem is not None), None)


def _planned(candidate: _Candidate, array: int, index: int) -> PlannedFrame:
    instance = candidate.instance
    frame = instance.image_frames[candidate.index]
    if frame.checksum is None:
        raise MalformedMetadataError(
            f"{instance.path}.ImageFrames[{candidate.index}] has no checksum: its pixels could not be verified"
        )
    return PlannedFrame(
        image_frame_id=frame.image_frame_id,
        sop_instance_uid=instance.sop_instance_uid,
        frame_number=candidate.index + 1,
        pixels=_pixels(instance),
        stored_transfer_syntax_uid=instance.stored_transfer_syntax_uid,
        checksum=frame.checksum,
        rescale=frame_rescale(instance, candidate.index),
        array=array,
        index=index,
    )


def _array(number: int, group: Sequence[_Candidate]) -> PlannedArray:
    pixels = _pixels(group[0].instance)
    return PlannedArray(
        file=PIXELS_FILE if number == 0 else f"pixels-{number}.npy",
        shape=(len(group), *frame_shape(pixels)),
        dtype=stored_dtype(pixels),
        photometric_interpretation=decoded_photometric_interpretation(group[0].instance),
    )


def _pixels(instance: Instance) -> ImagePixel:
    assert instance.pixels is not None  # the parser sets it on every instance that lists frames
    return instance.pixels
