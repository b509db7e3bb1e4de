"""A LocalService for tests: keeps what it is sent, answers it back, and emits an event for it."""

from __future__ import annotations

import gzip
import json

from localcloud.service import Backplane, Request, Response


class EchoService:
    """Speaks as medical-imaging: GetImageFrame answers bytes, GetImageSetMetadata gzip, CreateDatastore emits.

    Each answers in the service's wire form, so that boto3 itself judges the adapter.
    """

    signing_names = ("medical-imaging",)

    def __init__(self, backplane: Backplane) -> None:
        self._backplane = backplane

    def start(self) -> None:
        (self._backplane.state / "started").touch()

    def handle(self, request: Request) -> Response:
        if request.path.endswith("/getImageFrame"):
            return Response(200, bytes(range(256)) * 4096, {"Content-Type": "application/octet-stream"})
        if request.path.endswith("/getImageSetMetadata"):
            document = json.dumps({"version": request.query.get("version"), "body": len(request.body)}).encode()
            headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            return Response(200, gzip.compress(document), headers)
        if request.path == "/datastore" and request.method == "POST":
            return self._create(json.loads(request.body))
        if request.method == "DELETE":
            raise KeyError("a defect that holds PATIENT^NAME")
        body = {"message": f"no such operation: {request.method}"}
        return Response(400, json.dumps(body).encode(), {"x-amzn-errortype": "ValidationException"})

    def close(self) -> None:
        (self._backplane.state / "started").unlink()

    def _create(self, asked: dict[str, str]) -> Response:
        buckets = [bucket["Name"] for bucket in self._backplane.aws("s3").list_buckets()["Buckets"]]
        self._backplane.emit(
            source="aws.medical-imaging",
            detail_type="Data Store Created",
            resources=["arn:aws:medical-imaging:us-east-1:123456789012:datastore/" + "0" * 32],
            detail={"datastoreName": asked["datastoreName"], "buckets": buckets},
        )
        body = {"datastoreId": "0" * 32, "datastoreStatus": "CREATING"}
        return Response(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
