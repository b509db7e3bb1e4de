"""Starts a receiver as it is shipped, and looks into its bucket."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from ahiflow.batch import BatchManifest

BUCKET = "ingest"
ROOT = Path(__file__).resolve().parents[3]
SECONDS = 30


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not within {SECONDS} s: {what}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Bucket:
    """What is in the ingest bucket."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint, self.name = endpoint, name
        self.s3 = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
        )
        self.s3.create_bucket(Bucket=name)

    def keys(self, prefix: str) -> list[str]:
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=self.name, Prefix=prefix).get("Contents", [])]

    def body(self, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=self.name, Key=key)["Body"].read())

    def manifests(self) -> list[BatchManifest]:
        return [BatchManifest.model_validate_json(self.body(key)) for key in self.keys("batches/")]

    def one_manifest(self) -> BatchManifest:
        manifests = wait_for(self.manifests, "a batch manifest")
        assert len(manifests) == 1
        return manifests[0]


class Receiver:
    """`python -m storescp` and its log."""

    def __init__(self, bucket: Bucket, port: int, endpoint: str, **settings: str) -> None:
        self.port = port
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "INGEST_BUCKET_NAME": bucket.name,
            "DICOM_PORT": str(port),
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "storescp"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_for(lambda: self.said("listening") or self.process.poll() is not None, "a receiver that listens")

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line

    def said(self, message: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("message") == message]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=SECONDS)
        self._reader.join(timeout=SECONDS)
        return code
