"""The DIMSE statuses of C-STORE responses that this receiver returns (PS3.4 table B.2-1, PS3.7 Annex C)."""

from __future__ import annotations

from typing import Final

SUCCESS: Final = 0x0000  # PS3.7 C.1.1: the instance is durable, the sender may delete its own copy
OUT_OF_RESOURCES: Final = 0xA700  # PS3.4 B.2.3 "Refused: Out of Resources": S3 did not confirm; send again later
DATA_SET_DOES_NOT_MATCH: Final = 0xA900  # PS3.4 B.2.3 "Error: Data Set does not match SOP Class"
CANNOT_UNDERSTAND: Final = 0xC000  # PS3.4 B.2.3 "Error: Cannot understand": sending it again cannot help
