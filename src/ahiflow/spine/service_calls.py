"""Calls that start work: what a full quota means there, and text of the services cut to fit the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import ClientError

from ahiflow.aws_errors import translated
from ahiflow.errors import InvalidRequestError, ThrottledError
from ahiflow.ledger.schema import MAXIMUM_REASON_CHARACTERS

# Too much work at a time: 100 import jobs per data store (HTTP 402), executions per account (HTTP 400). Both pass.
_FULL: Final = frozenset({"ServiceQuotaExceededException", "ResourceLimitExceeded"})


@contextmanager
def quotas_pass(what: str) -> Iterator[None]:
    """Translate errors of a call that starts work; a full quota becomes ThrottledError: the work comes again later."""
    try:
        with translated(what):
            yield
    except InvalidRequestError as error:
        cause = error.__cause__
        if isinstance(cause, ClientError) and cause.response["Error"]["Code"] in _FULL:
            raise ThrottledError(f"{what}: as many are running as the quota allows") from cause
        raise


def cut(text: str) -> str:
    """One line, at most as long as the ledger keeps."""
    line = " ".join(text.split())
    return line if len(line) <= MAXIMUM_REASON_CHARACTERS else line[: MAXIMUM_REASON_CHARACTERS - 3] + "..."
