"""Translates what botocore raises into ahiflow's error tree, at the boundary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ParamValidationError

from ahiflow.errors import (
    AccessRefusedError,
    AhiflowError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    NotYetConsistentError,
    ServiceUnavailableError,
    ThrottledError,
)

# Error codes of the medical-imaging model and of the other services that are called. What is not listed is decided by
# the HTTP status. S3 answers HEAD without a body: its code is then the bare status.
_BY_CODE: Final[Mapping[str, type[AhiflowError]]] = {
    "ThrottlingException": ThrottledError,
    "SlowDown": ThrottledError,
    "ConflictException": NotYetConsistentError,
    "InternalServerException": ServiceUnavailableError,
    "ResourceNotFoundException": NotFoundError,
    "ResourceNotFound": NotFoundError,  # SageMaker, with HTTP 400
    "NoSuchKey": NotFoundError,
    "NoSuchBucket": NotFoundError,
    "AccessDeniedException": AccessRefusedError,
    "AccessDenied": AccessRefusedError,
    "ValidationException": InvalidRequestError,
    "BadRequestException": InvalidRequestError,
    "ServiceQuotaExceededException": InvalidRequestError,
    "NotAcceptableException": InvalidRequestError,
}
_BY_STATUS: Final[Mapping[int, type[AhiflowError]]] = {
    401: AccessRefusedError,
    403: AccessRefusedError,
    404: NotFoundError,
    409: NotYetConsistentError,
    429: ThrottledError,
}
_SAYS: Final[Mapping[type[AhiflowError], str]] = {
    ThrottledError: "the service asks to slow down",
    NotYetConsistentError: "the service has not caught up with itself",
    ServiceUnavailableError: "the service failed",
    NotFoundError: "does not exist",
    AccessRefusedError: "access was refused",
    InvalidRequestError: "the service refused the request",
}


def error_class(error: ClientError) -> type[AhiflowError]:
    """The class of ours for a service's answer: by its error code, else by its HTTP status."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    if code in _BY_CODE:
        return _BY_CODE[code]
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status >= 500:
        return ServiceUnavailableError
    return _BY_STATUS.get(status, InvalidRequestError)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Translate within the block. ``what`` names the thing in our words: the services' messages are not repeated,
    since they may quote what was sent.
    """
    try:
        yield
    except ClientError as error:
        kind = error_class(error)
        code = error.response.get("Error", {}).get("Code", "?")
        raise kind(f"{what}: {_SAYS[kind]} ({code})") from error
    except (NoCredentialsError, NoRegionError, ParamValidationError) as error:
        raise ConfigurationError(f"{what}: {_one_line(error)}") from error
    except BotoCoreError as error:  # time-outs, refused connections, cut bodies
        raise ServiceUnavailableError(f"{what}: the service could not be reached ({type(error).__name__})") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
