"""The two metadata documents seen in production: our levels and typing give the same, attribute by attribute."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from healthimaging_support import require_shared_data
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.tag import Tag

from localcloud.healthimaging.metadata.levels import level_of
from localcloud.healthimaging.metadata.values import json_value, value_representation


def attributes(document: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Level, keyword and value of every top-level attribute."""
    levels = [("Patient", document["Patient"]["DICOM"]), ("Study", document["Study"]["DICOM"])]
    for series in document["Study"]["Series"].values():
        levels.append(("Series", series["DICOM"]))
        levels += [("Instance", instance["DICOM"]) for instance in series["Instances"].values()]
    for level, values in levels:
        for keyword, value in values.items():
            yield level, keyword, value


def encoded(value: Any, vr: str) -> bytes:
    """The bytes of the file that the value came from, padded to even length (PS3.5 section 6.2)."""
    if vr == "OB":
        return base64.b64decode(value)
    if isinstance(value, int):
        return value.to_bytes(4 if vr == "UL" else 2, "little", signed=vr in ("SS", "SL"))
    text = "\\".join(value) if isinstance(value, list) else value
    return (text + ("\0" if vr == "UI" else " ") * (len(text) % 2)).encode()


@pytest.mark.parametrize("name", ["example-metadata-2023.json", "example-metadata-2025.json"])
def test_levels_and_values(name: str) -> None:
    document = json.loads((require_shared_data() / "healthimaging-metadata" / name).read_text())
    keep_number_padding = name == "example-metadata-2025.json"
    compared = 0
    for level, keyword, value in attributes(document):
        tag = Tag(tag_for_keyword(keyword))
        vr = dictionary_VR(tag)
        if keyword == "PixelData":
            continue  # null in 2023, left out in 2025
        assert level_of(tag) == level, keyword
        if vr == "SQ":
            continue
        raw = b"" if value is None else encoded(value, vr)
        resolved = value_representation(tag, vr, signed_pixels=False)
        given = json_value(tag, resolved, raw, True, ["iso8859"], keep_number_padding=keep_number_padding)
        assert given == value, keyword
        compared += 1
    assert compared > 50
