"""An image set in memory: real HTJ2K frames, and a metadata document of the shape of the two real ones."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from ahiflow.errors import NotFoundError
from ahiflow.fetching.destination import LocalDestination
from ahiflow.fetching.run import FetchRequest, FetchResult, fetch_image_set
from ahiflow.healthimaging.metadata import ImagePixel
from ahiflow.healthimaging.reader import ImageSetProperties, ImageSetRef
from ahiflow.pseudonym import Pseudonyms

DATASTORE = "d" * 32
IMAGE_SET = "5" * 32
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
PSEUDONYMS = Pseudonyms(b"the key of the tests, of 32 bytes or more")
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

# Patient data that must never leave: the tests look for every one of these in every output.
PATIENT = {
    "PatientName": "VERYSECRET^NAME",
    "PatientID": "PID-31415926",
    "PatientBirthDate": "19440229",
    "PatientSex": "F",
    "PatientComments": "lives next to the mill",
}
STUDY = {
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
    "StudyDate": "20230417",
    "StudyDescription": "CT Liver of VERYSECRET",
    "AccessionNumber": "ACC2718281828",
    "StudyID": "SLICER10001",
    "ReferringPhysicianName": "DOCTOR^WHO",
}
SECRETS = (
    "VERYSECRET",
    "PID-31415926",
    "19440229",
    "the mill",
    "20230417",
    "Liver",
    "ACC2718281828",
    "DOCTOR",
    "1.2.826",
)


def encode(array: NDArray[Any], **options: Any) -> bytes:
    """Lossless HTJ2K, RPCL with TLM and a tile-part each resolution, as HealthImaging stores it."""
    settings = {"resolutions": 2, "reversible": True, "tlm": True, "tilepart": 1, **options}
    return bytes(imagecodecs.htj2k_encode(array, **settings))


def image_pixel(array: NDArray[Any], **changes: Any) -> ImagePixel:
    """The Image Pixel attributes that describe ``array``, (rows, columns[, samples])."""
    bits = 8 * array.dtype.itemsize
    values: dict[str, Any] = {
        "rows": array.shape[0],
        "columns": array.shape[1],
        "samples_per_pixel": 1 if array.ndim == 2 else array.shape[2],
        "bits_allocated": bits,
        "bits_stored": bits,
        "pixel_representation": int(array.dtype.kind == "i"),
        "photometric_interpretation": "MONOCHROME2" if array.ndim == 2 else "RGB",
        "planar_configuration": 0,
    }
    return ImagePixel(**(values | changes))


def image_pixel_of(dataset: Any) -> ImagePixel:
    """The Image Pixel attributes of a pydicom data set."""
    return ImagePixel(
        rows=dataset.Rows,
        columns=dataset.Columns,
        samples_per_pixel=dataset.SamplesPerPixel,
        bits_allocated=dataset.BitsAllocated,
        bits_stored=dataset.BitsStored,
        pixel_representation=dataset.PixelRepresentation,
        photometric_interpretation=dataset.PhotometricInterpretation,
        planar_configuration=dataset.get("PlanarConfiguration", 0),
    )


def slices(count: int = 5, rows: int = 12, columns: int = 14, dtype: str = "<i2", seed: int = 1) -> NDArray[Any]:
    """Frames that differ in every axis."""
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -1000), min(limits.max, 3000)
    return np.random.default_rng(seed).integers(low, high, (count, rows, columns)).astype(dtype)


@dataclass
class InstanceSpec:
    """One instance to be: frames (rows, columns[, samples]) and what to say about them."""

    frames: Sequence[NDArray[Any]]
    number: int
    attributes: dict[str, Any] = field(default_factory=dict)
    stored_transfer_syntax_uid: str | None = HTJ2K_RPCL
    encoded: Sequence[bytes] | None = None

    @property
    def sop_instance_uid(self) -> str:
        return f"1.2.826.0.1.3680043.8.498.7.{self.number}"


def axial(count: int, spacing: float = 2.0) -> list[dict[str, Any]]:
    """Attributes of ``count`` evenly spaced axial slices, as HealthImaging writes DS: text, padded."""
    return [
        {
            "ImagePositionPatient": ["-30.5", "40.25", f"{100 + spacing * k:.3f} "],
            "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0 "],
            "PixelSpacing": ["0.5 ", "0.75"],
            "RescaleSlope": "1 ",
            "RescaleIntercept": "-1024",
        }
        for k in range(count)
    ]


class MemoryReader:
    """ImageSetReader over one image set in memory; ``document`` and ``frames`` may be damaged by a test."""

    def __init__(self, instances: Sequence[InstanceSpec], *, series: dict[str, Any] | None = None) -> None:
        self.frames: dict[str, bytes] = {}
        self.is_primary = True
        self.calls: list[str] = []
        self.versions: list[str | None] = []
        self.on_frame: Callable[[str], None] = lambda image_frame_id: None
        series_uid = "1.2.826.0.1.3680043.8.498.5"
        self.document: dict[str, Any] = {
            "SchemaVersion": "1.1",
            "DatastoreID": DATASTORE,
            "ImageSetID": IMAGE_SET,
            "Patient": {"DICOM": dict(PATIENT)},
            "Study": {
                "DICOM": dict(STUDY),
                "Series": {
                    series_uid: {
                        "DICOM": {"Modality": "CT", "SeriesInstanceUID": series_uid, "SeriesNumber": "1 "}
                        | (series or {}),
                        "Instances": {spec.sop_instance_uid: self._instance(spec) for spec in instances},
                    }
                },
            },
        }

    @property
    def instances(self) -> dict[str, Any]:
        """The document's instances, by UID."""
        (series,) = self.document["Study"]["Series"].values()
        found: dict[str, Any] = series["Instances"]
        return found

    def _instance(self, spec: InstanceSpec) -> dict[str, Any]:
        dicom: dict[str, Any] = {"SOPInstanceUID": spec.sop_instance_uid, "InstanceNumber": f"{spec.number} "}
        frames = []
        for index, array in enumerate(spec.frames):
            pixel = image_pixel(array)
            dicom |= {
                "Rows": pixel.rows,
                "Columns": pixel.columns,
                "SamplesPerPixel": pixel.samples_per_pixel,
                "BitsAllocated": pixel.bits_allocated,
                "BitsStored": pixel.bits_stored,
                "PixelRepresentation": pixel.pixel_representation,
                "PhotometricInterpretation": pixel.photometric_interpretation,
                "NumberOfFrames": f"{len(spec.frames)} ",
                "PixelData": None,
            }
            image_frame_id = hashlib.md5(f"{spec.number}/{index}".encode(), usedforsecurity=False).hexdigest()
            self.frames[image_frame_id] = spec.encoded[index] if spec.encoded else encode(array)
            frames.append(
                {
                    "ID": image_frame_id,
                    "PixelDataChecksumFromBaseToFullResolution": [
                        {"Width": 1, "Height": 1, "Checksum": 1},
                        {"Width": pixel.columns, "Height": pixel.rows, "Checksum": zlib.crc32(array.tobytes())},
                    ],
                    "MinPixelValue": int(array.min()),
                    "MaxPixelValue": int(array.max()),
                    "FrameSizeInBytes": len(self.frames[image_frame_id]),
                }
            )
        instance: dict[str, Any] = {"DICOM": dicom | spec.attributes, "DICOMVRs": {}}
        if frames:
            instance["ImageFrames"] = frames
            if spec.stored_transfer_syntax_uid is not None:
                instance |= {"StoredTransferSyntaxUID": spec.stored_transfer_syntax_uid, "ChecksumType": "DECOMPRESSED"}
        return instance

    def get_image_set(self, ref: ImageSetRef) -> ImageSetProperties:
        self.calls.append("GetImageSet")
        if ref.image_set_id != IMAGE_SET:
            raise NotFoundError(f"{ref}: does not exist")
        return ImageSetProperties(
            ImageSetRef(ref.datastore_id, ref.image_set_id, ref.version_id or "3"), self.is_primary
        )

    def get_metadata(self, ref: ImageSetRef) -> bytes:
        self.calls.append("GetImageSetMetadata")
        self.versions.append(ref.version_id)
        return json.dumps(self.document).encode()

    def get_frame(self, ref: ImageSetRef, image_frame_id: str) -> bytes:
        self.calls.append("GetImageFrame")
        self.on_frame(image_frame_id)
        return self.frames[image_frame_id]


def axial_series(volume: NDArray[Any], order: Sequence[int] | None = None) -> MemoryReader:
    """A CT series of single-frame instances; ``order`` shuffles both instance numbers and the document."""
    attributes = axial(len(volume))
    order = range(len(volume)) if order is None else order
    return MemoryReader([InstanceSpec([volume[k]], number, attributes[k]) for number, k in enumerate(order, 1)])


def fetch_to(
    directory: Path, reader: Any, *, formats: Sequence[Any] = ("npy", "nifti"), version: str = "latest", **request: Any
) -> FetchResult:
    """Fetch the image set of ``reader`` into a directory."""
    wanted = FetchRequest(DATASTORE, IMAGE_SET, version, frozenset(formats), **request)
    return fetch_image_set(wanted, reader, PSEUDONYMS, lambda version_id: LocalDestination(directory))
