"""How each transfer syntax encodes a data set (PS3.5 Annex A), and the head of a Part 10 file (PS3.10 §7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from ahiflow.errors import UnreadableInstanceError

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"  # PS3.5 A.1
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"  # PS3.5 A.2
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"  # PS3.5 A.3, retired
_DEFLATED: Final = frozenset(
    {
        "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian, PS3.5 A.5
        "1.2.840.10008.1.2.4.95",  # JPIP Referenced Deflate, PS3.5 A.7
        "1.2.840.10008.1.2.4.205",  # JPIP HTJ2K Referenced Deflate, PS3.5 A.10
    }
)
# Implicit VR Little Endian with big endian pixel data, as GE writes it (its conformance statements).
_PRIVATE_GE: Final = "1.2.840.113619.5.2"

_PREAMBLE: Final = 128
_SHORT_HEADER: Final = 8


@dataclass(frozen=True, slots=True)
class Encoding:
    """Byte order and value representation of a data set, and whether the whole of it is deflated (RFC 1951)."""

    explicit_vr: bool
    big_endian: bool
    deflated: bool


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Encoding of a data set. An unknown syntax is explicit VR little endian, as every encapsulated one is (A.4)."""
    return Encoding(
        explicit_vr=transfer_syntax_uid not in (IMPLICIT_VR_LITTLE_ENDIAN, _PRIVATE_GE),
        big_endian=transfer_syntax_uid == EXPLICIT_VR_BIG_ENDIAN,
        deflated=transfer_syntax_uid in _DEFLATED,
    )


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What is needed of the file meta information. ``data_set_offset`` is where the data set begins in the file."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int


def read_file_meta(data: bytes | memoryview) -> FileMeta:
    """Read the head of a Part 10 file; group 0002 is always explicit VR little endian (PS3.10 §7.1).

    Raises UnreadableInstanceError when there is no such head or it lacks one of the three UIDs.
    """
    view = memoryview(data)
    if bytes(view[_PREAMBLE : _PREAMBLE + 4]) != b"DICM":
        raise UnreadableInstanceError("not a DICOM file (no Part 10 header)")
    position = _PREAMBLE + 4
    values: dict[int, str] = {}
    while len(view) - position >= _SHORT_HEADER and bytes(view[position : position + 2]) == b"\x02\x00":
        (element,) = struct.unpack_from("<H", view, position + 2)
        if bytes(view[position + 4 : position + 6]) in (b"OB", b"UN", b"OW", b"UT"):
            if len(view) - position < 12:
                break
            (length,) = struct.unpack_from("<I", view, position + 8)
            position += 12
        else:
            (length,) = struct.unpack_from("<H", view, position + 6)
            position += _SHORT_HEADER
        if length > len(view) - position:
            raise UnreadableInstanceError("the file meta information is cut off")
        values[element] = bytes(view[position : position + length]).rstrip(b"\0 ").decode("latin-1")
        position += length
    missing = [name for element, name in _META_NAMES.items() if not values.get(element)]
    if missing:
        raise UnreadableInstanceError(f"the file meta information lacks {', '.join(missing)}")
    return FileMeta(values[0x0002], values[0x0003], values[0x0010], position)


_META_NAMES: Final = {
    0x0002: "MediaStorageSOPClassUID",
    0x0003: "MediaStorageSOPInstanceUID",
    0x0010: "TransferSyntaxUID",
}
