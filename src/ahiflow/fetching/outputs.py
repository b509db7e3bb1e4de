"""The files of a fetched image set, written to a scratch directory: same input, same bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from ahiflow import __version__
from ahiflow.fetching.download import FetchedFrame
from ahiflow.fetching.nifti import write_nifti
from ahiflow.fetching.plan import FetchPlan, PlannedArray, PlannedFrame
from ahiflow.healthimaging.metadata import ImageSetMetadata
from ahiflow.healthimaging.reader import ImageSetProperties
from ahiflow.healthimaging.safe_attributes import safe_attributes
from ahiflow.image_set_document import (
    VOLUME_FILE,
    FrameRecord,
    Geometry,
    ImageSetDocument,
    PixelArray,
    Provenance,
    Row,
)
from ahiflow.pixels import transfer_syntaxes as ts
from ahiflow.pixels.volume import voxel_spacing
from ahiflow.pseudonym import Pseudonyms

Format = Literal["npy", "nifti", "raw"]

RAW_FOLDER: Final = "raw"
_AXES: Final = ("frames", "rows", "columns", "samples")
_EXTENSIONS: Final = {
    **dict.fromkeys(ts.JPEG_2000_FAMILY, "j2c"),
    **dict.fromkeys(ts.JPEG_DCT | ts.JPEG_PREDICTIVE, "jpg"),
    **dict.fromkeys(ts.JPEG_LS, "jls"),
    **dict.fromkeys(ts.JPEG_XL_FAMILY, "jxl"),
}


class Outputs:
    """Lays out one image set's files under ``scratch``; ``files()`` are those to deliver, by name."""

    def __init__(self, scratch: Path, plan: FetchPlan, formats: frozenset[Format]) -> None:
        self._scratch, self._plan, self._formats = scratch, plan, formats
        self._names: list[str] = []
        self._positions = {(frame.array, frame.index): k for k, frame in enumerate(plan.frames)}

    def files(self) -> tuple[str, ...]:
        """Names, relative to the scratch directory, sorted."""
        return tuple(sorted(self._names))

    def create_arrays(self) -> list[NDArray[Any]]:
        """Array files of the plan, mapped into memory, to be filled by download()."""
        arrays = [_mapped(self._scratch / array.file, array) for array in self._plan.arrays]
        if "npy" in self._formats:
            self._names += [array.file for array in self._plan.arrays]
        if "raw" in self._formats and self._plan.frames:
            (self._scratch / RAW_FOLDER).mkdir()
            self._names += [self._raw_name(frame) for frame in self._plan.frames]
        return arrays

    def keep_stored(self, frame: PlannedFrame, stored: bytes) -> None:
        """Keep the stored bytes of a frame: ``raw/<position in image_set.json's frames>.<extension>``."""
        if "raw" in self._formats:
            (self._scratch / self._raw_name(frame)).write_bytes(stored)

    def write_volume(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Write ``volume.nii.gz`` where there is a regular volume."""
        if "nifti" not in self._formats or self._plan.affine_ras is None:
            return
        rescales = [frame.rescale for frame in self._plan.frames if frame.array == 0]
        write_nifti(self._scratch / VOLUME_FILE, arrays[0], rescales, self._plan.affine_ras)
        self._names.append(VOLUME_FILE)

    def _raw_name(self, frame: PlannedFrame) -> str:
        extension = _EXTENSIONS.get(frame.stored_transfer_syntax_uid or ts.HTJ2K_LOSSLESS_RPCL, "bin")
        return f"{RAW_FOLDER}/{self._positions[frame.array, frame.index]:06d}.{extension}"


def _mapped(path: Path, array: PlannedArray) -> NDArray[Any]:
    """A new array file. Its blocks are reserved at once: a disk that fills up later would kill the process."""
    mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="w+", dtype=array.dtype, shape=array.shape)
    if sys.platform == "linux":
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return mapped


def build_document(
    metadata: ImageSetMetadata,
    properties: ImageSetProperties,
    plan: FetchPlan,
    fetched: Sequence[FetchedFrame],
    files: tuple[str, ...],
    pseudonyms: Pseudonyms,
) -> ImageSetDocument:
    """Build ``image_set.json``. Nothing of the metadata passes but the allow-list and keyed pseudonyms."""
    ref = properties.ref
    patient_id = metadata.patient.text("PatientID")
    attributes = safe_attributes(metadata)
    arrays = tuple(
        PixelArray(
            file=array.file,
            shape=array.shape,
            dtype=array.dtype.str,
            axes=_AXES[: len(array.shape)],
            photometric_interpretation=array.photometric_interpretation,
        )
        for array in plan.arrays
    )
    return ImageSetDocument(
        datastore_id=ref.datastore_id,
        image_set_id=ref.image_set_id,
        version_id=ref.version_id or "",
        is_primary=properties.is_primary,
        patient_pseudonym=pseudonyms.patient(patient_id or f"study:{metadata.study_instance_uid}"),
        patient_pseudonym_of="PatientID" if patient_id else "StudyInstanceUID",
        study_pseudonym=pseudonyms.study(metadata.study_instance_uid),
        series_pseudonym=pseudonyms.series("\\".join(sorted(s.series_instance_uid for s in metadata.series))),
        geometry=_geometry(plan),
        no_volume_reason=plan.no_volume_reason,
        attributes=attributes.values,
        varying_attributes=attributes.varying,
        withheld_attributes=attributes.withheld,
        frames=_frames(plan, fetched, pseudonyms),
        pixels=arrays[0] if arrays else None,
        further_pixels=arrays[1:],
        no_pixels_reason=plan.no_pixels_reason,
        files=files,
        provenance=Provenance(
            ahiflow_version=__version__,
            metadata_schema_version=metadata.schema_version,
            codecs=dict(sorted({frame.codec: frame.codec_version for frame in fetched}.items())),
            pseudonym_key_check=pseudonyms.key_check(),
        ),
    )


def _geometry(plan: FetchPlan) -> Geometry | None:
    if plan.affine_ras is None:
        return None
    a, b, c, d = (_row(row) for row in plan.affine_ras.tolist())
    return Geometry(affine_ras=(a, b, c, d), voxel_spacing=voxel_spacing(plan.affine_ras))


def _row(values: list[float]) -> Row:
    a, b, c, d = (value + 0.0 for value in values)  # + 0.0 writes -0.0 as 0.0
    return a, b, c, d


def _frames(plan: FetchPlan, fetched: Sequence[FetchedFrame], pseudonyms: Pseudonyms) -> tuple[FrameRecord, ...]:
    return tuple(
        FrameRecord(
            sop_instance_hash=pseudonyms.sop_instance(frame.sop_instance_uid),
            frame_number=frame.frame_number,
            file=plan.arrays[frame.array].file,
            index=frame.index,
            crc32=frame.checksum.crc32,
            crc32_of=result.crc32_of,
            stored_transfer_syntax_uid=frame.stored_transfer_syntax_uid or ts.HTJ2K_LOSSLESS_RPCL,
            rescale_slope=frame.rescale.slope,
            rescale_intercept=frame.rescale.intercept,
        )
        for frame, result in zip(plan.frames, fetched, strict=True)
    )
