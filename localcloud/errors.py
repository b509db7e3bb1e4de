"""Answers of the host itself, in the wire form that the client's protocol expects."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from xml.sax.saxutils import escape

from localcloud.service import Response


def refusal(status: int, code: str, message: str, request_headers: Mapping[str, str], *, service: str = "") -> Response:
    """Build an AWS error response.

    S3 and the query protocols (form-encoded requests) read XML, every other protocol JSON with ``__type`` and the
    ``x-amzn-errortype`` header.
    """
    request_id = str(uuid.uuid4())
    form = request_headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if form or service in ("", "s3"):
        error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        wrapped = f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
        return Response(status, (wrapped if form else error).encode(), {"Content-Type": "text/xml"})
    body = json.dumps({"__type": code, "message": message}).encode()
    return Response(
        status,
        body,
        {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code, "x-amzn-requestid": request_id},
    )
