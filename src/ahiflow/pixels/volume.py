"""Order frames by geometry and place them in one RAS affine, or say why they form no regular volume.

Coordinates: DICOM's LPS in mm (PS3.3 C.7.6.2.1.1) on the way in, NIfTI's RAS+ in mm on the way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ahiflow.healthimaging.frame_attributes import FramePlane

# How far a frame may stand from the regular grid: positions are decimal strings that vendors round to 0.01 mm or so.
GRID_TOLERANCE_MM: Final = 0.01
GRID_TOLERANCE_OF_SPACING: Final = 0.01
DIRECTION_TOLERANCE: Final = 1e-3  # of direction cosines: written with 6 digits at best
SPACING_TOLERANCE: Final = 1e-4  # relative, between frames

_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Arrangement:
    """``order[k]`` is the given index of the frame that comes k-th.

    ``affine_ras`` takes (column, row, k, 1) to RAS mm; None with ``reason`` when there is no one regular volume, and
    the order is then the one given.
    """

    order: tuple[int, ...]
    affine_ras: NDArray[np.float64] | None
    reason: str | None


def arrange(planes: Sequence[FramePlane | None]) -> Arrangement:
    """Order frames along their normal and find the affine of the grid.

    The result does not depend on the order of ``planes``. A constant shift between frames within the plane (gantry
    tilt) is a regular volume too: the affine is then sheared.
    """
    known = [plane for plane in planes if plane is not None]
    if not known or len(known) < len(planes):
        return _none(planes, "frames do not say where they stand (position, orientation, pixel spacing)")
    row, column, problem = _directions(known)
    if problem is not None:
        return _none(planes, problem)
    positions = np.array([plane.position for plane in known], dtype=np.float64)
    depths = positions @ np.cross(row, column)
    order = tuple(int(index) for index in np.argsort(depths, kind="stable"))
    step, problem = _step(positions[list(order)], depths[list(order)], known[0], np.cross(row, column))
    if problem is not None:
        return _none(planes, problem)
    between_rows, between_columns = known[0].pixel_spacing
    affine_lps = np.eye(4)
    affine_lps[:3, 0] = row * between_columns
    affine_lps[:3, 1] = column * between_rows
    affine_lps[:3, 2] = step
    affine_lps[:3, 3] = positions[order[0]]
    return Arrangement(order, _LPS_TO_RAS @ affine_lps, None)


def voxel_spacing(affine_ras: NDArray[np.float64]) -> tuple[float, float, float]:
    """Distance in mm between neighbours along columns, rows and frames."""
    lengths = np.linalg.norm(affine_ras[:3, :3], axis=0)
    return float(lengths[0]), float(lengths[1]), float(lengths[2])


def _directions(planes: Sequence[FramePlane]) -> tuple[NDArray[np.float64], NDArray[np.float64], str | None]:
    rows = np.array([plane.row_direction for plane in planes], dtype=np.float64)
    columns = np.array([plane.column_direction for plane in planes], dtype=np.float64)
    spacings = np.array([plane.pixel_spacing for plane in planes], dtype=np.float64)
    row, column = rows[0], columns[0]
    problem = None
    if np.abs(rows - row).max() > DIRECTION_TOLERANCE or np.abs(columns - column).max() > DIRECTION_TOLERANCE:
        problem = "frames have several orientations"
    elif spacings.min() <= 0 or np.abs(spacings / spacings[0] - 1).max() > SPACING_TOLERANCE:
        problem = "frames have several pixel spacings, or none"
    elif (
        abs(np.linalg.norm(row) - 1) > DIRECTION_TOLERANCE
        or abs(np.linalg.norm(column) - 1) > DIRECTION_TOLERANCE
        or abs(float(row @ column)) > DIRECTION_TOLERANCE
    ):
        problem = "Image Orientation (Patient) is no pair of perpendicular unit vectors"
    return row, column, problem


def _step(
    positions: NDArray[np.float64], depths: NDArray[np.float64], plane: FramePlane, normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], str | None]:
    """Vector from one frame to the next. ``positions`` and ``depths`` are sorted by depth."""
    if len(positions) == 1:
        if plane.slice_spacing is None or plane.slice_spacing <= 0:
            return normal, "one frame, and the object does not say how thick it is"
        return normal * plane.slice_spacing, None
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    spacing = float(step @ normal)
    tolerance = max(GRID_TOLERANCE_MM, GRID_TOLERANCE_OF_SPACING * spacing)
    if float(np.diff(depths).min()) <= min(GRID_TOLERANCE_MM, 0.5 * spacing):
        return step, "several frames stand at the same position (time points, echoes or segments)"
    grid = positions[0] + np.arange(len(positions))[:, None] * step
    deviation = float(np.linalg.norm(positions - grid, axis=1).max())
    if deviation > tolerance:
        return step, f"frames are not evenly spaced: one stands {deviation:.3f} mm off the grid of {spacing:.3f} mm"
    return step, None


def _none(planes: Sequence[Any], reason: str) -> Arrangement:
    return Arrangement(tuple(range(len(planes))), None, reason)
