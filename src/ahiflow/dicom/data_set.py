"""Finds what identifies an instance and proves that its data set is whole, without decoding or changing a byte.

Walks the elements of a data set (PS3.5 §7) by their lengths. Values other than the five wanted are never looked at.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from ahiflow.dicom.encoding import Encoding, encoding_of
from ahiflow.errors import UnreadableInstanceError

_WANTED: Final = {
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x00080060: "Modality",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
}
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_ENCAPSULATING: Final = frozenset({b"OB", b"OW", b"OF", b"OD", b"OL", b"OV"})
_LONG: Final = _ENCAPSULATING | {b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"}  # PS3.5 table 7.1-1
_TEXTS: Final = (b"AE", b"AS", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"PN", b"SH", b"ST", b"TM", b"UI")
_SHORT: Final = frozenset({*_TEXTS, b"AT", b"FD", b"FL", b"SL", b"SS", b"UL", b"US"})  # PS3.5 table 7.1-2
_DEEPEST: Final = 64  # nesting of sequences; real data sets stay under ten
_LARGEST_INFLATED: Final = 4 * 1000**3  # what an import job takes of one file
# Digits and dots only: it becomes a part of a key. Leading zeros (PS3.5 §9.1 forbids them) are seen in the field.
_UID: Final = re.compile(r"[0-9][0-9.]{0,63}")


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """What identifies an instance, from its data set. ``modality`` is empty when the data set has none."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    modality: str


def identify(data_set: bytes | memoryview, transfer_syntax_uid: str) -> InstanceFacts:
    """Read the facts of an instance from its encoded data set.

    Raises UnreadableInstanceError when the data set is not whole or lacks a UID without which HealthImaging cannot
    import it; its reason names tags and attributes, never a value.
    """
    encoding = encoding_of(transfer_syntax_uid)
    walker = _Walker(_inflate(data_set) if encoding.deflated else bytes(data_set), encoding)
    values = walker.walk()
    uids = {tag: _uid(values, tag) for tag in _WANTED if _WANTED[tag].endswith("UID")}
    modality = values.get(0x00080060, b"").rstrip(b"\0 ").decode("ascii", "replace")[:16]
    return InstanceFacts(uids[0x00080016], uids[0x00080018], uids[0x0020000D], uids[0x0020000E], modality)


def _uid(values: dict[int, bytes], tag: int) -> str:
    text = values.get(tag, b"").rstrip(b"\0 ").decode("latin-1")
    if not text:
        raise UnreadableInstanceError(f"the data set lacks {_WANTED[tag]}")
    if not _UID.fullmatch(text):
        raise UnreadableInstanceError(f"{_WANTED[tag]} is no UID")
    return text


def _inflate(data_set: bytes | memoryview) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(data_set, _LARGEST_INFLATED)
    except zlib.error as error:
        raise UnreadableInstanceError("the deflated data set is damaged") from error
    if not inflater.eof:
        raise UnreadableInstanceError("the deflated data set is cut off or too large")
    return inflated


class _Walker:
    """One pass over an encoded data set."""

    def __init__(self, data: bytes, encoding: Encoding) -> None:
        self._data = data
        self._explicit = encoding.explicit_vr
        order = ">" if encoding.big_endian else "<"
        self._tag = struct.Struct(order + "HH")
        self._u16 = struct.Struct(order + "H")
        self._u32 = struct.Struct(order + "I")

    def walk(self) -> dict[int, bytes]:
        """Every wanted top-level value. Raises UnreadableInstanceError when an element passes the end."""
        data, position, end = self._data, 0, len(self._data)
        if not end:
            raise UnreadableInstanceError("the data set is empty")
        values: dict[int, bytes] = {}
        while position < end:
            if end - position < 8 or data[position : position + 8] == bytes(8):
                if any(data[position:]):
                    raise UnreadableInstanceError("the data set ends inside an element's header")
                break  # zero padding after the last element
            tag, start, stop = self._element(position, self._explicit, 0)
            if tag in _WANTED:
                values[tag] = data[start:stop]
            position = stop
        return values

    def _element(self, position: int, explicit: bool, depth: int) -> tuple[int, int, int]:
        """Tag of the element at a position, and where its value starts and stops."""
        tag, vr, length, start = self._header(position, explicit)
        if length != _UNDEFINED:
            return tag, start, self._inside(start + length, tag)
        if vr in _ENCAPSULATING or (tag == 0x7FE00010 and vr != b"SQ"):
            return tag, start, self._fragments(start, tag)
        # Elements of a sequence of unknown VR are implicit VR (PS3.5 §6.2.2 note 2).
        return tag, start, self._sequence(start, tag, explicit and vr != b"UN", depth + 1)

    def _header(self, position: int, explicit: bool) -> tuple[int, bytes, int, int]:
        data = self._data
        self._inside(position + 8, None)
        group, element = self._tag.unpack_from(data, position)
        tag = group << 16 | element
        if not explicit:
            return tag, b"", self._u32.unpack_from(data, position + 4)[0], position + 8
        vr = data[position + 4 : position + 6]
        if vr in _SHORT:
            return tag, vr, self._u16.unpack_from(data, position + 6)[0], position + 8
        if vr in _LONG:
            self._inside(position + 12, tag)
            return tag, vr, self._u32.unpack_from(data, position + 8)[0], position + 12
        raise UnreadableInstanceError(f"element {_name(tag)} has no known value representation")

    def _sequence(self, position: int, tag: int, explicit: bool, depth: int) -> int:
        if depth > _DEEPEST:
            raise UnreadableInstanceError(f"sequences are nested too deep in element {_name(tag)}")
        while True:
            item, length, position = self._item(position, tag)
            if item == _SEQUENCE_END:
                return position
            if length != _UNDEFINED:
                position = self._inside(position + length, tag)
                continue
            while not self._at(position, _ITEM_END):
                _, _, position = self._element(position, explicit, depth)
            position += 8

    def _fragments(self, position: int, tag: int) -> int:
        while True:
            if position == len(self._data):
                return position  # some writers leave out the last delimiter; every fragment is whole
            item, length, position = self._item(position, tag)
            if item == _SEQUENCE_END:
                return position
            position = self._inside(position + length, tag)

    def _item(self, position: int, tag: int) -> tuple[int, int, int]:
        """Tag of an item or delimiter, its length, and where its content starts."""
        self._inside(position + 8, tag)
        group, element = self._tag.unpack_from(self._data, position)
        item = group << 16 | element
        if item not in (_ITEM, _SEQUENCE_END):
            raise UnreadableInstanceError(f"element {_name(tag)} holds something that is no item")
        return item, self._u32.unpack_from(self._data, position + 4)[0], position + 8

    def _at(self, position: int, tag: int) -> bool:
        self._inside(position + 8, tag)
        return self._tag.unpack_from(self._data, position) == (tag >> 16, tag & 0xFFFF)

    def _inside(self, position: int, tag: int | None) -> int:
        if position > len(self._data):
            where = "an element's header" if tag is None else f"element {_name(tag)}"
            raise UnreadableInstanceError(f"the data set ends inside {where}")
        return position


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
