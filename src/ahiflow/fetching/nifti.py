"""Writes a regular volume as NIfTI-1, frame by frame, with the same bytes every time."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
from numpy.typing import NDArray

from ahiflow.healthimaging.frame_attributes import Rescale

_header_class: Final[Any] = nibabel.Nifti1Header  # untyped in nibabel
_SCANNER: Final = 1  # NIFTI_XFORM_SCANNER_ANAT
_HEADER_BYTES: Final = 352  # 348 and the four bytes that say that no extension follows
_COMPRESSION_LEVEL: Final = 3
_ORTHOGONAL_TOLERANCE: Final = 1e-5  # of direction cosines


def write_nifti(
    path: Path, frames: NDArray[Any], rescales: Sequence[Rescale], affine_ras: NDArray[np.float64]
) -> np.dtype[Any]:
    """Write ``frames`` (frames, rows, columns), rescaled one by one, as voxels (column, row, frame); return the dtype.

    int16 where that is exact for every voxel, else float32. One frame is in memory at a time. The affine stands in
    the sform, and in the qform too unless it is sheared, which a qform cannot say.
    """
    dtype = _output_dtype(frames, rescales)
    header = _header_class()
    header.set_data_dtype(dtype)
    header.set_data_shape((frames.shape[2], frames.shape[1], frames.shape[0]))
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    header.set_data_offset(_HEADER_BYTES)
    header.set_sform(affine_ras, code=_SCANNER)
    directions = affine_ras[:3, :3] / np.linalg.norm(affine_ras[:3, :3], axis=0)
    if np.abs(directions.T @ directions - np.eye(3)).max() < _ORTHOGONAL_TOLERANCE:
        header.set_qform(affine_ras, code=_SCANNER)
    with path.open("wb") as file, gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, file, mtime=0) as stream:
        stream.write(header.binaryblock + bytes(_HEADER_BYTES - len(header.binaryblock)))
        for frame, rescale in zip(frames, rescales, strict=True):
            # Row by row with the column running fastest is NIfTI's own order of (column, row).
            stream.write(np.ascontiguousarray(_rescaled(frame, rescale, dtype)).tobytes())
    return dtype


def _output_dtype(frames: NDArray[Any], rescales: Sequence[Rescale]) -> np.dtype[Any]:
    limits = np.iinfo(np.int16)
    for frame, rescale in zip(frames, rescales, strict=True):
        if frame.dtype.kind not in "iu" or not (rescale.slope.is_integer() and rescale.intercept.is_integer()):
            return np.dtype("<f4")
        ends = [int(end) * int(rescale.slope) + int(rescale.intercept) for end in (frame.min(), frame.max())]
        if min(ends) < limits.min or max(ends) > limits.max:
            return np.dtype("<f4")
    return np.dtype("<i2")


def _rescaled(frame: NDArray[Any], rescale: Rescale, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "i":
        return (frame.astype(np.int64) * int(rescale.slope) + int(rescale.intercept)).astype(dtype)
    return (frame.astype(np.float64) * rescale.slope + rescale.intercept).astype(dtype)
