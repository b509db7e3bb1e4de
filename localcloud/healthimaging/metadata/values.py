"""One DICOM element as the service's JSON has it, from the bytes of the file (padding is part of the evidence).

Typing, as two real documents show: DS and IS stay strings with their padding, other strings lose trailing padding;
binary numbers are numbers; an attribute whose multiplicity in PS3.6 is not 1 is always a list; bytes are base64; empty
is null.
"""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

from pydicom.charset import decode_bytes
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
_CHARSET_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_PLAIN_TEXT = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"})
_ONE_VALUE_TEXT = frozenset({"LT", "ST", "UT", "UR"})
_PADDED = frozenset({"DS", "IS"})
_SINGLE = frozenset({"1"})


class ValueLengthError(ValueError):
    """A value's length is no multiple of its VR's size."""


def value_representation(tag: BaseTag, explicit_vr: str | None, signed_pixels: bool) -> str:
    """Return the VR of an element: the file's, else the dictionary's with ambiguity resolved, else UN (PS3.5 §A.1)."""
    vr = explicit_vr
    if vr in (None, "", "UN") and not tag.is_private:
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            vr = "UN"
    if tag.is_private and vr in (None, ""):
        vr = "LO" if tag.is_private_creator else "UN"
    if vr == "US or SS":
        return "SS" if signed_pixels else "US"
    return "OW" if vr and " or " in vr else (vr or "UN")


def json_value(
    tag: BaseTag, vr: str, raw: bytes, little_endian: bool, encodings: list[str], *, keep_number_padding: bool
) -> Any:
    """Convert one element's bytes (not a sequence). Raises ValueLengthError."""
    if not raw:
        return None
    if vr in _NUMBERS or vr == "AT":
        values: list[Any] = _numbers(vr, raw, little_endian)
    elif vr in _CHARSET_TEXT or vr in _PLAIN_TEXT:
        values = _texts(vr, raw, encodings, keep_number_padding=keep_number_padding)
        if not any(values):
            return None
    else:
        return base64.b64encode(raw).decode("ascii")
    return values[0] if len(values) == 1 and _multiplicity_is_one(tag, vr) else values


def parsed_value(tag: BaseTag, vr: str, value: Any) -> Any:
    """Convert a value that the reader has parsed already: file meta information and the character set."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii") if value else None
    values = list(value) if isinstance(value, (list, MultiValue)) else [value]
    plain = [item if isinstance(item, (int, float)) else str(item) for item in values if item is not None]
    if not any(item != "" for item in plain):
        return None
    return plain[0] if len(plain) == 1 and _multiplicity_is_one(tag, vr) else plain


def _multiplicity_is_one(tag: BaseTag, vr: str) -> bool:
    if vr in _ONE_VALUE_TEXT:
        return True
    try:
        return dictionary_VM(tag) in _SINGLE
    except KeyError:
        return True


def _numbers(vr: str, raw: bytes, little_endian: bool) -> list[Any]:
    code = "HH" if vr == "AT" else _NUMBERS[vr]
    packed = struct.Struct(("<" if little_endian else ">") + code)
    if len(raw) % packed.size:
        raise ValueLengthError(f"{len(raw)} bytes of VR {vr}")
    values = list(packed.iter_unpack(raw))
    if vr == "AT":
        return [f"{group:04X}{element:04X}" for group, element in values]
    return [None if isinstance(value, float) and not math.isfinite(value) else value for (value,) in values]


def _texts(vr: str, raw: bytes, encodings: list[str], *, keep_number_padding: bool) -> list[str]:
    if vr in _PLAIN_TEXT:
        decoded = [raw.decode("iso8859-1")]
    elif vr == "PN":
        decoded = [
            "=".join(decode_bytes(component, encodings, PN_DELIMS) for component in name.split(b"="))
            for name in raw.split(b"\\")
        ]
    elif len(encodings) == 1 or vr in _ONE_VALUE_TEXT:
        decoded = [decode_bytes(raw, encodings, TEXT_VR_DELIMS)]
    else:
        decoded = [decode_bytes(part, encodings, TEXT_VR_DELIMS) for part in raw.split(b"\\")]
    if vr not in _ONE_VALUE_TEXT:
        decoded = [value for text in decoded for value in text.split("\\")]
    if vr in _PADDED and keep_number_padding:
        return [value.rstrip("\x00") for value in decoded]
    return [value.strip(" \x00") if vr in _PADDED else value.rstrip(" \x00") for value in decoded]
