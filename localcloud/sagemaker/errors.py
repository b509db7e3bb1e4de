"""Errors of the SageMaker API in their wire form (JSON 1.1: ``__type`` and ``message``, HTTP 400 unless said)."""

from __future__ import annotations

from ahiflow.errors import AhiflowError


class ServiceError(AhiflowError):
    """An answer that is an error: ``code`` as botocore knows it, ``status`` of HTTP, one clear line."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def validation(message: str) -> ServiceError:
    """The request is malformed or names something that this operation cannot find."""
    return ServiceError("ValidationException", message)


def unsupported(what: str) -> ServiceError:
    """AWS knows this, the local cloud does not: refused rather than ignored."""
    return ServiceError("ValidationException", f"The local cloud does not support {what}.")


def not_found(message: str) -> ServiceError:
    """Shape ResourceNotFound."""
    return ServiceError("ResourceNotFound", message)


def conflict(message: str) -> ServiceError:
    """Shape ConflictException."""
    return ServiceError("ConflictException", message)


def in_use(message: str) -> ServiceError:
    """Shape ResourceInUse."""
    return ServiceError("ResourceInUse", message)


def limit_exceeded(message: str) -> ServiceError:
    """Shape ResourceLimitExceeded."""
    return ServiceError("ResourceLimitExceeded", message)


def unknown_operation(name: str) -> ServiceError:
    """An operation that AWS has not, or that the local cloud does not have."""
    return ServiceError("UnknownOperationException", f"The local cloud does not support the operation {name}.")


class StepFailedError(AhiflowError):
    """A pipeline step cannot go on; the text becomes the step's FailureReason."""


class JobFailedError(AhiflowError):
    """A job cannot go on; the text becomes its FailureReason, prefixed as SageMaker does (``ClientError: ...``)."""


class JobInterruptedError(AhiflowError):
    """The service is closing; the job stays InProgress on disk and is taken up again at the next start."""
