"""Real DICOM files that ship with the pydicom package (MIT): several modalities, transfer syntaxes and non-images.

What they are is in pydicom's ``data/test_files/README.txt``. Every one is whole and has the UIDs that an import needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pydicom.data

# name -> what it is: modality, transfer syntax. Few, since each is an image set with an execution of its own.
REAL_FILES: Final = {
    "CT_small.dcm": "CT, explicit VR little endian",
    "MR_small.dcm": "MR, explicit VR little endian",
    "JPEG2000.dcm": "NM, JPEG 2000",
    "ExplVR_BigEnd.dcm": "US in colour, explicit VR big endian",
    "examples_jpeg2k.dcm": "US in colour, JPEG 2000 lossless",
    "SC_rgb_rle_2frame.dcm": "secondary capture in colour, two frames, RLE",
    "image_dfl.dcm": "secondary capture, deflated",
    "rtdose_1frame.dcm": "radiotherapy dose, 32 bits, implicit VR little endian",
    "reportsi.dcm": "structured report, no image",
}


def real_files() -> list[Path]:
    """Paths of the files. They lie in the package: nothing is downloaded."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    return [folder / name for name in REAL_FILES]
