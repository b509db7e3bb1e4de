"""Keyed pseudonyms: what stands for a patient, study, series or instance outside the fetcher (design.md promise 5).

A pseudonym is ``HMAC-SHA256(key, "<purpose>:" + value)`` in hex. The key is a secret of the deployment: without it a
pseudonym cannot be recomputed from a guessed Patient ID, and two deployments cannot be joined.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final, Literal, Protocol

from ahiflow.aws_errors import translated
from ahiflow.errors import ConfigurationError

Purpose = Literal["patient", "study", "series", "sop-instance", "key-check"]

MINIMUM_KEY_BYTES: Final = 32  # the output size of SHA-256: a shorter key weakens HMAC (RFC 2104 section 3)


class SecretsClient(Protocol):
    """The one call that is made of Secrets Manager."""

    def get_secret_value(self, *, SecretId: str) -> dict[str, Any]: ...  # noqa: D102


class Pseudonyms:
    """Computes pseudonyms with one key. Never prints the key."""

    def __init__(self, key: bytes) -> None:
        if len(key) < MINIMUM_KEY_BYTES:
            raise ConfigurationError(f"the pseudonym key has {len(key)} bytes: at least {MINIMUM_KEY_BYTES} are needed")
        self._key = key

    @classmethod
    def from_secret(cls, client: SecretsClient, secret_id: str) -> Pseudonyms:
        """Read the key: the UTF-8 bytes of SecretString, or SecretBinary as it is. Raises ConfigurationError."""
        with translated(f"the pseudonym secret {secret_id}"):
            secret = client.get_secret_value(SecretId=secret_id)
        if secret.get("SecretString"):
            return cls(str(secret["SecretString"]).encode())
        if secret.get("SecretBinary"):
            return cls(bytes(secret["SecretBinary"]))
        raise ConfigurationError(f"the pseudonym secret {secret_id} is empty")

    def of(self, purpose: Purpose, value: str) -> str:
        """Return 64 hex characters. The same value under another purpose gives an unrelated pseudonym."""
        return hmac.new(self._key, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()

    def patient(self, patient_id: str) -> str:
        """Pseudonym of a Patient ID (0010,0020), stripped of padding by the caller."""
        return self.of("patient", patient_id)

    def study(self, study_instance_uid: str) -> str:
        """Pseudonym of a Study Instance UID."""
        return self.of("study", study_instance_uid)

    def series(self, series_instance_uid: str) -> str:
        """Pseudonym of a Series Instance UID."""
        return self.of("series", series_instance_uid)

    def sop_instance(self, sop_instance_uid: str) -> str:
        """Hash of a SOP Instance UID: the key of the label table."""
        return self.of("sop-instance", sop_instance_uid)

    def key_check(self) -> str:
        """16 hex characters that tell whether two outputs were made with the same key; says nothing of the key."""
        return self.of("key-check", "")[:16]

    def __repr__(self) -> str:
        return "Pseudonyms(key withheld)"
