"""The service's own errors, with the HTTP codes of botocore's medical-imaging model.

ServiceError
├── ValidationError       400 ValidationException
├── AccessDeniedError     403 AccessDeniedException
├── NotFoundError         404 ResourceNotFoundException
├── NotAcceptableError    406 NotAcceptableException
├── ConflictError         409 ConflictException
├── QuotaExceededError    402 ServiceQuotaExceededException
├── ThrottlingError       429 ThrottlingException
└── InternalServerError   500 InternalServerException
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """An error that a caller of the service sees: ``code`` in ``x-amzn-ErrorType``, the text as ``message``."""

    code: ClassVar[str]
    status: ClassVar[int]


class ValidationError(ServiceError):
    """The request breaks its shape, or names something the service does not take."""

    code, status = "ValidationException", 400


class AccessDeniedError(ServiceError):
    """The caller may not do this."""

    code, status = "AccessDeniedException", 403


class NotFoundError(ServiceError):
    """No such data store, job, image set, version or frame."""

    code, status = "ResourceNotFoundException", 404


class NotAcceptableError(ServiceError):
    """The frame cannot be given in the asked form."""

    code, status = "NotAcceptableException", 406


class ConflictError(ServiceError):
    """The resource's state does not allow it now."""

    code, status = "ConflictException", 409


class QuotaExceededError(ServiceError):
    """A service quota is used up (402, not 400: service model)."""

    code, status = "ServiceQuotaExceededException", 402


class ThrottlingError(ServiceError):
    """Too many calls."""

    code, status = "ThrottlingException", 429


class InternalServerError(ServiceError):
    """The service failed."""

    code, status = "InternalServerException", 500


BY_CODE: dict[str, type[ServiceError]] = {
    error.code: error
    for error in (
        ValidationError,
        AccessDeniedError,
        NotFoundError,
        NotAcceptableError,
        ConflictError,
        QuotaExceededError,
        ThrottlingError,
        InternalServerError,
    )
}
