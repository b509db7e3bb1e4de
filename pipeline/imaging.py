"""Reads what the fetcher wrote: arrays of modality values, as the networks take them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ahiflow.errors import DatasetError
from ahiflow.image_set_document import IMAGE_SET_FILE, PIXELS_FILE, ImageSetDocument, parse_image_set_document

SlicesNHW = npt.NDArray[np.float32]

# What the values of a slice mean: Hounsfield units after rescale (CT), or a scale of the image set's own.
Intensity = Literal["hounsfield", "relative"]


@dataclass(frozen=True, slots=True)
class ImageSetPixels:
    """Slices of one image set.

    Contract
        - ``slices`` has axes (slice, row, column), float32, after rescale: HU for CT.
        - At most ``maximum_slices`` of them, evenly spaced over the image set, in its frame order.
        - Colour is reduced to luma; MONOCHROME1 is negated, so that more is brighter.
    """

    slices: SlicesNHW
    modality: str
    scanner: str


def intensity_of(modality: str) -> Intensity:
    """CT has absolute values (PS3.3 C.8.2.1.1.2), nothing else here does."""
    return "hounsfield" if modality == "CT" else "relative"


def load_image_set(folder: Path, maximum_slices: int) -> ImageSetPixels:
    """Load one image set's folder. Raises DatasetError when it is incomplete, MalformedMetadataError."""
    try:
        document = parse_image_set_document((folder / IMAGE_SET_FILE).read_bytes())
        pixels = np.load(folder / PIXELS_FILE, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DatasetError(f"image set {folder.parent.name}: {Path(str(error.filename)).name} is missing") from error
    except ValueError as error:
        raise DatasetError(f"image set {folder.parent.name}: {PIXELS_FILE} cannot be read") from error
    frames = sorted((f for f in document.frames if f.file == PIXELS_FILE), key=lambda f: f.index)
    if document.pixels is None or pixels.shape != document.pixels.shape or len(frames) != pixels.shape[0]:
        raise DatasetError(f"image set {folder.parent.name}: {PIXELS_FILE} is not what {IMAGE_SET_FILE} says")
    chosen = evenly_spaced(len(frames), maximum_slices)
    slopes = np.array([frames[i].rescale_slope for i in chosen], np.float32)
    intercepts = np.array([frames[i].rescale_intercept for i in chosen], np.float32)
    slices = modality_values(pixels[chosen], document.pixels.photometric_interpretation, slopes, intercepts)
    return ImageSetPixels(slices, modality=str(document.attributes.get("Modality", "")), scanner=scanner_of(document))


def evenly_spaced(count: int, maximum: int) -> list[int]:
    """At most ``maximum`` 0-based indices out of ``count``, the first and last included."""
    if count <= maximum:
        return list(range(count))
    return [round(i * (count - 1) / (maximum - 1)) for i in range(maximum)] if maximum > 1 else [count // 2]


def modality_values(
    stored: npt.NDArray[np.generic],
    photometric_interpretation: str,
    slopes: npt.NDArray[np.float32],
    intercepts: npt.NDArray[np.float32],
) -> SlicesNHW:
    """Stored values (slice, row, column[, sample]) to modality values (PS3.3 C.11.1); slope and intercept by slice."""
    values = np.asarray(stored).astype(np.float32)
    if values.ndim == 4:
        values = _luma(values, photometric_interpretation)
    values = values * slopes[:, None, None] + intercepts[:, None, None]
    result: SlicesNHW = -values if photometric_interpretation == "MONOCHROME1" else values
    return np.ascontiguousarray(result, dtype=np.float32)


def scanner_of(document: ImageSetDocument) -> str:
    """Manufacturer and model, the subgroup of the evaluation's table."""
    parts = (document.attributes.get("Manufacturer"), document.attributes.get("ManufacturerModelName"))
    return " ".join(str(part) for part in parts if part) or "unknown"


def _luma(values: SlicesNHW, photometric_interpretation: str) -> SlicesNHW:
    if photometric_interpretation.startswith("YBR"):
        return values[..., 0]
    weights = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601, as PS3.3 C.7.6.3.1.2 uses for YBR_FULL
    return np.asarray(values[..., :3] @ weights, dtype=np.float32)
