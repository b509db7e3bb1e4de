"""sagemaker-runtime: InvokeEndpoint, proxied to the endpoint's container (REST, errors by header and body)."""

from __future__ import annotations

import http.client
import json
import re
import uuid
from typing import Any

from localcloud.sagemaker.context import Context
from localcloud.sagemaker.endpoints import Endpoints
from localcloud.sagemaker.errors import ServiceError
from localcloud.service import Request, Response

_PATH = re.compile(r"/endpoints/([^/]+)/invocations")
_MAXIMUM_BODY = 6_291_456  # shape BodyBlob
_NOT_SUPPORTED = (
    "x-amzn-sagemaker-target-model",
    "x-amzn-sagemaker-target-container-hostname",
    "x-amzn-sagemaker-enable-explanations",
    "x-amzn-sagemaker-inference-component",
    "x-amzn-sagemaker-session-id",
)
_CUSTOM = "x-amzn-sagemaker-custom-attributes"


def is_invocation(request: Request) -> bool:
    """Whether a request is for sagemaker-runtime."""
    return request.path.startswith("/endpoints/")


class Runtime:
    """InvokeEndpoint. The other operations of sagemaker-runtime are refused."""

    def __init__(self, context: Context, endpoints: Endpoints) -> None:
        self._context = context
        self._endpoints = endpoints

    def handle(self, request: Request) -> Response:
        """Answer one invocation; every error is one of the operation's own."""
        try:
            return self._invoke(request)
        except ServiceError as error:
            return _error(error.code, error.status, {"Message": error.message})

    def _invoke(self, request: Request) -> Response:
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            raise ServiceError("UnknownOperationException", f"Not supported: {request.method} {request.path}", 404)
        self._context.faults.before_operation("InvokeEndpoint")
        for header in _NOT_SUPPORTED:
            if header in request.headers:
                raise ServiceError("ValidationError", f"The local cloud does not support the header {header}.")
        if len(request.body) > _MAXIMUM_BODY:
            raise ServiceError("ValidationError", f"The body exceeds {_MAXIMUM_BODY} bytes.")
        name = match[1]
        server = self._endpoints.server(name)
        if server is None:
            self._endpoints.restart(name)
            raise ServiceError("ModelNotReadyException", f"The container of the endpoint {name} is being started.", 429)
        wanted = request.headers.get("x-amzn-sagemaker-target-variant", server.variant)
        if wanted != server.variant:
            raise ServiceError("ValidationError", f"Variant {wanted} of the endpoint {name} not found.")
        passed = {"content-type": request.headers.get("content-type", "application/octet-stream")}
        passed |= {key: request.headers[key] for key in ("accept", _CUSTOM) if key in request.headers}
        try:
            answer = server.invoke(request.body, passed)
        except (OSError, http.client.HTTPException) as error:
            message = f"The container of the endpoint {name} did not answer: {type(error).__name__}"
            raise ServiceError("ServiceUnavailable", message, 503) from error
        if not 200 <= answer.status < 300:
            return self._model_error(name, answer.status, answer.body)
        headers = {
            "content-type": answer.headers.get("content-type", "application/octet-stream"),
            "x-amzn-invoked-production-variant": server.variant,
            "x-amzn-requestid": str(uuid.uuid4()),
        }
        if _CUSTOM in answer.headers:
            headers[_CUSTOM] = answer.headers[_CUSTOM]
        return Response(200, answer.body, headers)

    def _model_error(self, name: str, status: int, body: bytes) -> Response:
        text = body.decode(errors="replace")[:2048]
        arns = self._context.arns
        kind = "client" if status < 500 else "server"
        stream = f"arn:aws:logs:{arns.region}:{arns.account_id}:log-group:/aws/sagemaker/Endpoints/{name}"
        document = {
            "Message": f'Received {kind} error ({status}) from primary with message "{text}".',
            "OriginalStatusCode": status,
            "OriginalMessage": text,
            "LogStreamArn": stream,
        }
        return _error("ModelError", 424, document)


def _error(code: str, status: int, document: dict[str, Any]) -> Response:
    headers = {"content-type": "application/json", "x-amzn-errortype": code, "x-amzn-requestid": str(uuid.uuid4())}
    return Response(status, json.dumps(document).encode(), headers)
