"""The allow-list of technical attributes that may leave the fetcher, and what makes a value safe (promise 5).

Only code strings, numbers, and a few short texts of the equipment. No description, comment, date, name or identifier,
and nothing about the patient: age and sex are left out until a subgroup analysis needs them and a decision record
says in which form. A value of a listed attribute is still withheld when it is not of its form, when it holds six
digits in a row (a date, an identifier), or when it holds a part of the patient's name or an identifier of the study.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ahiflow.errors import MalformedMetadataError
from ahiflow.healthimaging.attributes import Attributes
from ahiflow.healthimaging.metadata import ImageSetMetadata

Scalar = str | int | float
Value = Scalar | tuple[Scalar, ...]

CODE_STRINGS: Final = (
    "Modality",
    "BodyPartExamined",
    "ImageType",
    "PatientPosition",
    "Laterality",
    "ImageLaterality",
    "ViewPosition",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "RescaleType",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "PresentationIntentType",
)
NUMBERS: Final = (
    "BitsStored",
    "KVP",
    "XRayTubeCurrent",
    "ExposureTime",
    "SliceThickness",
    "SpacingBetweenSlices",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "ReconstructionDiameter",
    "GantryDetectorTilt",
    "MagneticFieldStrength",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "FlipAngle",
)
EQUIPMENT_TEXTS: Final = ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel")
ALLOWED: Final = (*CODE_STRINGS, *NUMBERS, *EQUIPMENT_TEXTS)

_CODE: Final = re.compile(r"[A-Z0-9 _]{1,16}")  # VR CS (PS3.5 section 6.2)
_TEXT: Final = re.compile(r"[A-Za-z0-9 ._/,+()&-]{1,64}")
_LONG_DIGITS: Final = re.compile(r"\d{6}")
_IDENTIFYING: Final = ("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "PatientBirthDate")
_SHORTEST_NAME_PART: Final = 3  # shorter parts of a name occur in any word


@dataclass(frozen=True, slots=True)
class SafeAttributes:
    """``values``: what all instances agree on. ``varying`` and ``withheld``: keywords only."""

    values: dict[str, Value]
    varying: tuple[str, ...]
    withheld: tuple[str, ...]


def safe_attributes(metadata: ImageSetMetadata) -> SafeAttributes:
    """Collect the allow-listed attributes of an image set. Never raises for a value: it is withheld."""
    forbidden = _identifying_parts(metadata)
    values: dict[str, Value] = {}
    varying, withheld = [], []
    for keyword in ALLOWED:
        found = set()
        for series, instance in metadata.instances():
            level = instance.attributes if instance.attributes.has(keyword) else series.attributes
            found.add(_safe_value(level, keyword, forbidden) if level.has(keyword) else ())
        if None in found:
            withheld.append(keyword)
        elif len(found) > 1:
            varying.append(keyword)
        elif scalars := next(iter(found), ()):
            values[keyword] = scalars[0] if len(scalars) == 1 else scalars
    return SafeAttributes(values, tuple(varying), tuple(withheld))


def _safe_value(level: Attributes, keyword: str, forbidden: frozenset[str]) -> tuple[Scalar, ...] | None:
    """The values, empty when there are none, or None when they may not leave."""
    try:
        if keyword in NUMBERS:
            return tuple(int(number) if number.is_integer() else number for number in level.numbers(keyword))
        texts = level.texts(keyword)
    except MalformedMetadataError:
        return None
    form = _CODE if keyword in CODE_STRINGS else _TEXT
    return texts if all(form.fullmatch(text) and _is_anonymous(text, forbidden) for text in texts) else None


def _is_anonymous(text: str, forbidden: Iterable[str]) -> bool:
    folded = text.casefold()
    return not _LONG_DIGITS.search(text) and not any(part in folded for part in forbidden)


def _identifying_parts(metadata: ImageSetMetadata) -> frozenset[str]:
    parts: set[str] = set()
    for level in (metadata.patient, metadata.study):
        for keyword in _IDENTIFYING:
            parts.update(text.casefold() for text in _texts(level, keyword) if len(text) >= _SHORTEST_NAME_PART)
        for name in _texts(level, "PatientName"):
            parts.update(part.casefold() for part in re.split(r"[\^=\s,.]+", name) if len(part) >= _SHORTEST_NAME_PART)
    return frozenset(parts)


def _texts(level: Attributes, keyword: str) -> tuple[str, ...]:
    try:
        return level.texts(keyword)
    except MalformedMetadataError:
        return ()
