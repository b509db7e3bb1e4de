"""The codecs and which one decodes a frame: by stored transfer syntax, then by the magic of the stream.

The Content-Type of GetImageFrame is not asked: it does not list every stored syntax (healthimaging-facts.md section 4).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray

from ahiflow.errors import UnsupportedTransferSyntaxError
from ahiflow.healthimaging.metadata import ImagePixel
from ahiflow.pixels import transfer_syntaxes as ts
from ahiflow.pixels.decoders import jpeg, jpeg2000, uncompressed
from ahiflow.pixels.guards import JP2_SIGNATURE, SOC

Decode = Callable[[bytes, ImagePixel, str], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Codec:
    """One decoder. ``decode`` takes the stored bytes, the attributes and the stored transfer syntax, and returns stored
    values; it raises MalformedFrameError, and nothing else, on any bytes.

    ``distribution`` is the installed package whose version goes into the provenance. ``unavailable_because`` is why
    a codec that one would look for here is not used; such a codec has no ``decode``.
    """

    name: str
    transfer_syntax_uids: frozenset[str]
    distribution: str
    decode: Decode | None = None
    unavailable_because: str | None = None

    def version(self) -> str:
        """``distribution version``, as installed."""
        return f"{self.distribution} {importlib.metadata.version(self.distribution)}"


CODECS: Final[tuple[Codec, ...]] = (
    Codec("jpeg2000", ts.JPEG_2000_FAMILY, "imagecodecs", jpeg2000.decode),
    Codec("jpeg", ts.JPEG_DCT, "imagecodecs", jpeg.decode_dct),
    Codec("jpeg-lossless", ts.JPEG_PREDICTIVE, "imagecodecs", jpeg.decode_predictive),
    Codec("jpeg-ls", ts.JPEG_LS, "imagecodecs", jpeg.decode_jpeg_ls),
    Codec("jpeg-xl", ts.JPEG_XL_FAMILY, "imagecodecs", jpeg.decode_jpeg_xl),
    Codec("rle", frozenset({ts.RLE_LOSSLESS}), "numpy", uncompressed.decode_rle),
    Codec("deflate", frozenset({ts.DEFLATED_IMAGE_FRAME}), "numpy", uncompressed.decode_deflated),
    Codec("uncompressed", ts.UNCOMPRESSED, "numpy", uncompressed.decode),
    Codec(
        "openjphpy",
        frozenset({ts.HTJ2K_LOSSLESS, ts.HTJ2K_LOSSLESS_RPCL}),
        "openjphpy",
        unavailable_because="openjphpy 0.1.0 holds no module (`import openjphpy` fails); its published code clips "
        "signed pixels to 0 and has no RGB",
    ),
    Codec(
        "nvimgcodec",
        ts.JPEG_2000_FAMILY,
        "nvidia-nvimgcodec-cu12",
        unavailable_because="decoding on a GPU is not written yet: frame by frame its gain is eaten by transfers",
    ),
)

# Streams whose stored transfer syntax the metadata leaves out (documents of 2023).
_MAGICS: Final[tuple[tuple[bytes, str], ...]] = (
    (SOC, ts.HTJ2K_LOSSLESS_RPCL),
    (JP2_SIGNATURE, ts.HTJ2K_LOSSLESS_RPCL),
    (b"\xff\xd8\xff", ts.JPEG_BASELINE),
)


def codec_for(stored_transfer_syntax_uid: str | None, frame: bytes, codecs: tuple[Codec, ...] = CODECS) -> Codec:
    """The codec for a frame. Raises UnsupportedTransferSyntaxError naming the syntax, with reasons if it has any."""
    uid = stored_transfer_syntax_uid or _syntax_of(frame)
    because = []
    for codec in codecs:
        if uid in codec.transfer_syntax_uids:
            if codec.decode is not None and codec.unavailable_because is None:
                return codec
            because.append(f"{codec.name}: {codec.unavailable_because}")
    reasons = f" ({'; '.join(because)})" if because else ""
    raise UnsupportedTransferSyntaxError(f"no codec for the stored transfer syntax {uid}{reasons}")


def _syntax_of(frame: bytes) -> str:
    for magic, uid in _MAGICS:
        if frame.startswith(magic):
            return uid
    raise UnsupportedTransferSyntaxError("the metadata names no stored transfer syntax and the stream is none we know")
