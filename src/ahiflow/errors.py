"""Every error that ahiflow raises, as one tree.

AhiflowError
├── TransientError                      the same call may succeed later: retry
│   ├── ThrottledError                  a service asked us to slow down
│   ├── NotYetConsistentError           409: the service has not caught up with itself
│   └── ServiceUnavailableError         5xx, time-outs, connections refused
└── PermanentError                      retrying cannot help: report and stop
    ├── ConfigurationError              a setting or parameter is missing or malformed
    ├── NotFoundError                   the named resource does not exist
    ├── AccessRefusedError              the caller may not do this
    ├── InvalidRequestError             a service refused the request as malformed
    ├── UnreadableInstanceError         bytes that are no usable DICOM instance
    ├── MalformedMetadataError          an image set metadata document breaks its schema
    ├── UnsupportedTransferSyntaxError  no codec for the stored syntax
    ├── MalformedFrameError             a frame that does not decode to what the metadata says
    ├── ChecksumMismatchError           decoded pixels differ from what HealthImaging computed
    ├── InvalidLabelsError              a label table that cannot be used
    ├── DatasetError                    a dataset that must not be trained on
    ├── SignatureError                  an approval whose signature does not verify
    └── WorkFailedError                 work that was started and ended as failed
"""

from __future__ import annotations


class AhiflowError(Exception):
    """Root of the tree. ``str(error)`` is one line that a user can act on and that names no patient."""

    retry: bool = False


class TransientError(AhiflowError):
    """The same call may succeed later."""

    retry = True


class ThrottledError(TransientError):
    """A service asked us to slow down (ThrottlingException, HTTP 429)."""


class NotYetConsistentError(TransientError):
    """The service has not caught up with itself (ConflictException, HTTP 409)."""


class ServiceUnavailableError(TransientError):
    """A service failed or could not be reached (HTTP 5xx, time-outs, refused connections)."""


class PermanentError(AhiflowError):
    """Retrying cannot help: report and stop."""


class ConfigurationError(PermanentError):
    """A setting or parameter is missing or malformed; the message names it."""


class NotFoundError(PermanentError):
    """The named resource does not exist (HTTP 404)."""


class AccessRefusedError(PermanentError):
    """The caller may not do this (HTTP 403)."""


class InvalidRequestError(PermanentError):
    """A service refused the request as malformed (HTTP 400, 402, 406)."""


class UnreadableInstanceError(PermanentError):
    """Bytes that are no usable DICOM instance. ``reason`` holds no patient data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedMetadataError(PermanentError):
    """An image set metadata document breaks its schema; the message names the path."""


class UnsupportedTransferSyntaxError(PermanentError):
    """No codec for the stored transfer syntax; the message names the UID."""


class MalformedFrameError(PermanentError):
    """A frame that does not decode to what the metadata says; the message names the frame."""


class ChecksumMismatchError(PermanentError):
    """Decoded pixels differ from what HealthImaging computed; the message names the frame."""


class InvalidLabelsError(PermanentError):
    """A label table that cannot be used; the message names the file, line or column."""


class DatasetError(PermanentError):
    """A dataset that must not be trained on (leakage, one class only, too few patients)."""


class SignatureError(PermanentError):
    """An approval whose signature does not verify against the exact artefact."""


class WorkFailedError(PermanentError):
    """Work that was started and ended as failed (an import job, an execution, a deployment)."""
