"""What becomes of each transfer syntax at import, and how stored frames are labelled.

Sources: developer guide, supported-transfer-syntaxes; GetImageFrame in the service model (Content-Type); PS3.5 §10.
"""

from __future__ import annotations

from localcloud.healthimaging.switches import Switches

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
_JPEG = "1.2.840.10008.1.2.4."
JPEG_BASELINE = _JPEG + "50"
JPEG_EXTENDED = _JPEG + "51"
JPEG_LOSSLESS = _JPEG + "57"
JPEG_LOSSLESS_SV1 = _JPEG + "70"
JPEG_LS = _JPEG + "80"
JPEG_LS_NEAR = _JPEG + "81"
JPEG_2000_LOSSLESS = _JPEG + "90"
JPEG_2000 = _JPEG + "91"
JPEG_2000_MC_LOSSLESS = _JPEG + "92"
JPEG_2000_MC = _JPEG + "93"
JPEG_XL = _JPEG + "112"
HTJ2K_LOSSLESS = _JPEG + "201"
HTJ2K_LOSSLESS_RPCL = _JPEG + "202"
HTJ2K = _JPEG + "203"

NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG})
VIDEO = frozenset(
    _JPEG + part + dot for part in ("100", "101", "102", "103", "104", "105", "106", "107", "108") for dot in ("", ".1")
)
KEPT = frozenset({JPEG_BASELINE, JPEG_2000, HTJ2K, JPEG_XL}) | VIDEO
TRANSCODED = NATIVE | {
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    JPEG_LS_NEAR,
    JPEG_2000_LOSSLESS,
    JPEG_2000_MC_LOSSLESS,
    JPEG_2000_MC,
    HTJ2K_LOSSLESS,
    HTJ2K_LOSSLESS_RPCL,
    RLE,
}

_CONTENT_TYPES = {
    HTJ2K_LOSSLESS_RPCL: "image/jph",
    HTJ2K: "image/jphc",
    JPEG_2000: "image/j2c",
    JPEG_BASELINE: "image/jpeg",
    JPEG_XL: "image/jxl",
    **dict.fromkeys((_JPEG + part + dot for part in ("100", "101") for dot in ("", ".1")), "video/mpeg"),
    **dict.fromkeys(
        (_JPEG + part + dot for part in ("102", "103", "104", "105", "106") for dot in ("", ".1")), "video/mp4"
    ),
    _JPEG + "107": "video/H256",  # sic: the service model's own spelling
    _JPEG + "108": "video/H256",
}


def content_type(stored_transfer_syntax_uid: str, switches: Switches) -> str:
    """Content-Type of a frame by its stored syntax; application/octet-stream where the model names none."""
    if stored_transfer_syntax_uid == JPEG_2000_LOSSLESS:
        return switches.jpeg_2000_lossless_content_type
    return _CONTENT_TYPES.get(stored_transfer_syntax_uid, "application/octet-stream")
