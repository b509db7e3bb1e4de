"""A volume is where its frames are, whatever their order, orientation, tilt and spacing."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ahiflow.healthimaging.frame_attributes import FramePlane
from ahiflow.pixels.volume import arrange, voxel_spacing

NUMBERS = st.floats(-1, 1, allow_nan=False)
SPACING = st.floats(0.2, 5)


def rotation(angles: tuple[float, float, float]) -> Any:
    """A rotation matrix from three angles."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        one = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        one[[i, j], [i, j]] = np.cos(angle)
        one[i, j], one[j, i] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ one
    return matrix


@settings(max_examples=150, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3.14, 3.14)] * 3),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    spacing=st.tuples(SPACING, SPACING, SPACING),
    shear=st.tuples(NUMBERS, NUMBERS),
    count=st.integers(2, 30),
    data=st.data(),
)
def test_any_regular_stack(angles: Any, origin: Any, spacing: Any, shear: Any, count: int, data: st.DataObject) -> None:
    directions = rotation(angles)
    row, column, normal = directions.T
    step = spacing[2] * (normal + 0.4 * shear[0] * row + 0.4 * shear[1] * column)
    positions = np.round([np.array(origin) + k * step for k in range(count)], 4)  # as decimal strings carry them
    shuffled = data.draw(st.permutations(range(count)))
    planes = [
        FramePlane(
            position=tuple(positions[k]),
            row_direction=tuple(row),
            column_direction=tuple(column),
            pixel_spacing=(spacing[1], spacing[0]),
            slice_spacing=None,
        )
        for k in shuffled
    ]
    arrangement = arrange(planes)
    assert arrangement.reason is None
    assert arrangement.affine_ras is not None
    assert [shuffled[k] for k in arrangement.order] == list(range(count))
    # Each corner of each frame stands where DICOM's own equation (PS3.3 C.7.6.2.1.1) puts it.
    for k in (0, count // 2, count - 1):
        for i, j in ((0, 0), (13, 0), (0, 11), (13, 11)):
            lps = positions[k] + i * spacing[0] * row + j * spacing[1] * column
            ras = arrangement.affine_ras @ [i, j, k, 1]
            np.testing.assert_allclose(ras, [-lps[0], -lps[1], lps[2], 1], atol=1e-3)
    assert np.allclose(voxel_spacing(arrangement.affine_ras)[:2], spacing[:2])


@settings(max_examples=60, deadline=None)
@given(count=st.integers(4, 40), data=st.data())
def test_a_missing_slice_inside_is_no_regular_volume(count: int, data: st.DataObject) -> None:
    missing = data.draw(st.integers(1, count - 2))
    planes = [
        FramePlane((0.0, 0.0, 2.5 * k), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0), None)
        for k in range(count)
        if k != missing
    ]
    if len(planes) > 2:
        arrangement = arrange(planes)
        assert arrangement.affine_ras is None
        assert arrangement.reason is not None
        assert "not evenly spaced" in arrangement.reason
