"""Thumbnails of what the fetcher verified: the middle frame of an image set, as a PNG data URI."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 176  # pixels of the longer side


@dataclass(frozen=True, slots=True)
class Picture:
    """One image set in the gallery. ``caption`` and ``chips`` (text, colour class) hold technical facts only."""

    data_uri: str
    caption: str
    chips: tuple[tuple[str, str], ...]


def thumbnail(pixels: bytes, document: Mapping[str, Any]) -> str:
    """PNG data URI of the middle frame of ``pixels.npy``, windowed for the eye.

    CT is shown in Hounsfield units from -1000 to 400; everything else from its 1st to its 99th percentile.
    Colour is shown as stored.
    """
    frames: NDArray[Any] = np.load(io.BytesIO(pixels), allow_pickle=False)
    frame = frames[len(frames) // 2]
    if frame.ndim == 3:
        return _png(frame.astype(np.uint8) if frame.dtype != np.uint8 else frame)
    values = frame.astype(np.float64)
    attributes = document.get("attributes") or {}
    if attributes.get("Modality") == "CT":
        slope, intercept = _rescale(document, len(frames) // 2)
        low, high = -1000.0, 400.0
        values = values * slope + intercept
    else:
        low, high = (float(value) for value in np.percentile(values, (1, 99)))
    scaled = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return _png((scaled * 255).astype(np.uint8))


def _rescale(document: Mapping[str, Any], index: int) -> tuple[float, float]:
    main = document["pixels"]["file"]
    frame = next(frame for frame in document["frames"] if frame["file"] == main and frame["index"] == index)
    return float(frame["rescale_slope"]), float(frame["rescale_intercept"])


def _png(array: NDArray[np.uint8]) -> str:
    from PIL import Image

    image = Image.fromarray(array)
    image.thumbnail((SIZE, SIZE))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
