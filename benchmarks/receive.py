"""Instances per second of the receiver, with an S3 stand-in behind it, beside dcmtk's storescp writing to a folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

INSTANCES = 200
ROUNDS = 3


def measure() -> list[dict[str, Any]]:
    """Send the same CT instances with storescu to both, in turn. Needs dcmtk."""
    if shutil.which("storescu") is None:
        raise SystemExit("the benchmark `receive` needs dcmtk (storescu, storescp)")
    with tempfile.TemporaryDirectory() as folder:
        files = _instances(Path(folder) / "in")
        (Path(folder) / "out").mkdir()
        with _ours() as our_port, _dcmtk(Path(folder) / "out") as dcmtk_port:
            ours, theirs = [], []
            for _ in range(ROUNDS):
                ours.append(_send(our_port, files))
                theirs.append(_send(dcmtk_port, files))
    rate, peer = median(ours), median(theirs)
    return [
        {
            "what": "C-STORE, 1 association, Success after PutObject",
            "value": rate,
            "unit": "instances/s",
            "ratio": rate / peer,
            "peer": "dcmtk storescp (to a folder)",
        }
    ]


class _S3StandIn(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        if checksum := self.headers.get("x-amz-checksum-sha256"):
            self.send_header("x-amz-checksum-sha256", checksum)
        self.send_header("ETag", '"stand-in"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        body = b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated></ListBucketResult>'
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _ours() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _S3StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = _free_port()
    environ = {
        **os.environ,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "INGEST_BUCKET_NAME": "bench",
        "DICOM_PORT": str(port),
    }
    with _process([sys.executable, "-m", "storescp"], environ, port):
        yield port
    server.shutdown()


@contextmanager
def _dcmtk(folder: Path) -> Iterator[int]:
    port = _free_port()
    environ = {**os.environ, "TCP_NODELAY": "1"}
    with _process(["storescp", "--fork", "-aet", "AHIFLOW", "-od", str(folder), str(port)], environ, port):
        yield port


@contextmanager
def _process(argv: list[str], environ: dict[str, str], port: int) -> Iterator[None]:
    process = subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit(f"{argv[0]} did not start") from None
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


def _send(port: int, files: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        ["storescu", "-aec", "AHIFLOW", "127.0.0.1", str(port), *files],
        env={**os.environ, "TCP_NODELAY": "1"},
        check=True,
        capture_output=True,
    )
    return len(files) / (time.perf_counter() - began)


def _instances(folder: Path) -> list[str]:
    folder.mkdir()
    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    names = []
    for index in range(INSTANCES):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.InstanceNumber = index + 1
        names.append(str(folder / f"{index:04d}.dcm"))
        dataset.save_as(names[-1])
    return names


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
