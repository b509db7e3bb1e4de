"""One instance's part of the metadata document: attributes by level, keyed and typed as the service does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pydicom
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag, Tag

from localcloud.healthimaging.metadata.levels import INSTANCE, PATIENT, SERIES, STUDY, level_of
from localcloud.healthimaging.metadata.values import ValueLengthError, json_value, parsed_value, value_representation

_PIXEL_TAGS = frozenset({0x7FE00001, 0x7FE00002, 0x7FE00008, 0x7FE00009, 0x7FE00010})
_TRAILING_PADDING = 0xFFFCFFFC


@dataclass(slots=True)
class InstanceDocument:
    """Attributes of one instance by level. ``vrs`` has those keys of the instance that are no keywords."""

    levels: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {PATIENT: {}, STUDY: {}, SERIES: {}, INSTANCE: {}}
    )
    vrs: dict[str, str] = field(default_factory=dict)
    bad_lengths: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Context:
    encodings: list[str]
    signed_pixels: bool
    keep_number_padding: bool
    bad_lengths: list[str]


def describe_instance(dataset: pydicom.FileDataset, *, keep_number_padding: bool) -> InstanceDocument:
    """Convert a data set and its file meta information, pixel data left out.

    Group lengths (but 0002,0000) and trailing padding say nothing once the file is gone and are left out as well.
    A value whose length does not fit its VR becomes base64 and is named in ``bad_lengths``.
    """
    document = InstanceDocument()
    signed = str(dataset.get("PixelRepresentation", "0")) == "1"
    context = _Context(_encodings(dataset, ["iso8859"]), signed, keep_number_padding, document.bad_lengths)
    for source in (dataset.file_meta, dataset):
        for tag in sorted(source.keys()):
            if tag in _PIXEL_TAGS or tag == _TRAILING_PADDING or (tag.element == 0 and tag.group != 2):
                continue
            key, vr = _key(tag), _vr_of(source, tag, context)
            document.levels[level_of(tag)][key] = _value(source, tag, vr, context)
            if key == _hex(tag):
                document.vrs[key] = vr
    return document


def _encodings(dataset: pydicom.Dataset, inherited: list[str]) -> list[str]:
    names = dataset.get("SpecificCharacterSet")
    return list(convert_encodings(names)) if names else inherited


def _hex(tag: BaseTag) -> str:
    return f"{tag:08X}"


def _key(tag: BaseTag) -> str:
    """Keyword; eight hex digits for private and unknown tags, and for repeating groups, whose keywords would clash."""
    if tag.is_private or not dictionary_has_tag(tag):
        return _hex(tag)
    return keyword_for_tag(tag) or _hex(tag)


def _vr_of(dataset: pydicom.Dataset, tag: BaseTag, context: _Context) -> str:
    element = dataset.get_item(tag)
    return value_representation(Tag(tag), str(element.VR) if element.VR else None, context.signed_pixels)


def _value(dataset: pydicom.Dataset, tag: BaseTag, vr: str, context: _Context) -> Any:
    element = dataset.get_item(tag)
    if vr != "SQ" and isinstance(element, RawDataElement):
        raw = element.value or b""
        try:
            return json_value(
                tag,
                vr,
                raw,
                element.is_little_endian,
                context.encodings,
                keep_number_padding=context.keep_number_padding,
            )
        except ValueLengthError:
            context.bad_lengths.append(_key(tag))
            return json_value(tag, "UN", raw, element.is_little_endian, [], keep_number_padding=False)
    value = dataset[tag].value
    if isinstance(value, pydicom.Sequence):
        return [_item(item, context) for item in value] or None
    return parsed_value(tag, vr, value)


def _item(item: pydicom.Dataset, context: _Context) -> dict[str, Any]:
    inner = _Context(
        _encodings(item, context.encodings), context.signed_pixels, context.keep_number_padding, context.bad_lengths
    )
    return {
        _key(tag): _value(item, tag, _vr_of(item, tag, inner), inner) for tag in sorted(item.keys()) if tag.element != 0
    }
