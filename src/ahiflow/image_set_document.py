"""Schemas of ``image_set.json`` and ``fetch.json``: what the fetcher says, and curation and training read.

Schema version 1. Holds pixels' facts, allow-listed technical attributes and keyed pseudonyms; no patient attribute.

``pixels.npy`` has the frames of the largest group of equal shape and dtype, first axis in the order of
``ImageSetDocument.frames`` with ``file == "pixels.npy"``; frames of another shape or dtype (a localizer, say) stand in
``pixels-1.npy``, ``pixels-2.npy``, ... A frame is found by its ``file`` and ``index``.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ahiflow.errors import MalformedMetadataError

IMAGE_SET_DOCUMENT_VERSION: Final = 1
IMAGE_SET_FILE: Final = "image_set.json"
PIXELS_FILE: Final = "pixels.npy"
VOLUME_FILE: Final = "volume.nii.gz"

AttributeValue = str | int | float | tuple[str | int | float, ...]
Row = tuple[float, float, float, float]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Geometry(_Frozen):
    """The regular grid of ``pixels.npy``.

    ``affine_ras`` takes (column, row, frame, 1), all 0-based indices of ``pixels.npy`` in reverse axis order, to
    NIfTI's RAS+ millimetres. ``voxel_spacing`` is (between columns, between rows, between frames) in mm.
    """

    affine_ras: tuple[Row, Row, Row, Row]
    voxel_spacing: tuple[float, float, float]


class PixelArray(_Frozen):
    """One array file. ``dtype`` is NumPy's, little endian (``"<i2"``); ``axes`` name the axes of ``shape``.

    Values are stored values, before rescale, with no colour conversion: ``photometric_interpretation`` says what the
    samples are (PS3.3 C.7.6.3.1.2).
    """

    file: str
    shape: tuple[int, ...]
    dtype: str
    axes: tuple[Literal["frames", "rows", "columns", "samples"], ...]
    photometric_interpretation: str


class FrameRecord(_Frozen):
    """One verified frame. ``frame_number`` is 1-based within its instance; ``index`` is 0-based within ``file``.

    ``crc32`` is HealthImaging's checksum, which was found equal; ``crc32_of`` says over what: the decoded pixels, or,
    for frames that HealthImaging keeps as they came, the stored bytes. ``output = stored * rescale_slope +
    rescale_intercept`` (PS3.3 C.11.1.1.2); 1 and 0 where the image has no rescale.
    """

    sop_instance_hash: str
    frame_number: int
    file: str
    index: int
    crc32: int
    crc32_of: Literal["decoded", "stored"]
    stored_transfer_syntax_uid: str
    rescale_slope: float
    rescale_intercept: float


class Provenance(_Frozen):
    """What made the output. ``codecs`` maps the codec that decoded to its version; ``pseudonym_key_check`` tells
    outputs of different pseudonym keys apart (``Pseudonyms.key_check``).
    """

    ahiflow_version: str
    metadata_schema_version: str
    codecs: dict[str, str]
    pseudonym_key_check: str = ""


class ImageSetDocument(_Frozen):
    """``image_set.json``.

    ``patient_pseudonym_of`` says what stands behind the patient pseudonym: the Patient ID, or, where it is empty, the
    study (so that unknown patients are not taken for one). ``attributes`` holds what all instances agree on;
    ``varying_attributes`` and ``withheld_attributes`` name those that differ, and those whose value was not safe.
    ``pixels`` is null, with ``no_pixels_reason``, for image sets that have no pixels (reports, plans).
    """

    schema_version: Literal[1] = 1
    datastore_id: str
    image_set_id: str
    version_id: str
    is_primary: bool
    patient_pseudonym: str
    patient_pseudonym_of: Literal["PatientID", "StudyInstanceUID"]
    study_pseudonym: str
    series_pseudonym: str
    geometry: Geometry | None
    no_volume_reason: str | None
    attributes: dict[str, AttributeValue]
    varying_attributes: tuple[str, ...]
    withheld_attributes: tuple[str, ...]
    frames: tuple[FrameRecord, ...]
    pixels: PixelArray | None
    further_pixels: tuple[PixelArray, ...] = ()
    no_pixels_reason: str | None
    files: tuple[str, ...]
    provenance: Provenance

    def sop_instance_hashes(self) -> tuple[str, ...]:
        """Hash of each instance that has frames, in frame order, once each."""
        return tuple(dict.fromkeys(frame.sop_instance_hash for frame in self.frames))


class FetchReport(_Frozen):
    """``fetch.json`` (``pipeline_contract.FETCH_FILE``).

    ``already_present``: the output was there, complete, and was checked instead of fetched again; the frame counts are
    then those of the output.
    """

    image_set_uri: str
    datastore_id: str
    image_set_id: str
    version_id: str
    is_primary: bool
    frames_fetched: int
    frames_verified: int
    already_present: bool = False


def parse_image_set_document(text: str | bytes) -> ImageSetDocument:
    """Parse ``image_set.json``. Raises MalformedMetadataError naming the first field that is wrong."""
    try:
        return ImageSetDocument.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise MalformedMetadataError(f"{IMAGE_SET_FILE}: {where}: {first['msg']}") from error
