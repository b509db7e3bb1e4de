"""What pydicom raises on bad input, in one place: it has no error tree of its own."""

from __future__ import annotations

import struct
import zlib

from pydicom.errors import BytesLengthException, InvalidDicomError

READ_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    OSError,
    struct.error,
    zlib.error,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    MemoryError,
)
