"""Started by test_healthimaging_restart: serves the emulator, starts one import, and waits to be killed in the middle.

Arguments: state folder, folder of files to import, where to stall: "reading" (inside the third download) or
"announcing" (all is committed, the bus does not answer). Prints the data store and job ids, then STALLED.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import boto3
from healthimaging_support import health_imaging
from moto import mock_aws


class StallingS3:
    """Never answers the third download."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def get_object(self, **parameters: Any) -> Any:
        self._calls += 1
        if self._calls >= 3:
            stall()
        return self._s3.get_object(**parameters)


def say(line: str) -> None:
    """One line to the test, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def stall() -> None:
    """Say so, and wait for the end."""
    say("STALLED")
    threading.Event().wait()


def main() -> None:
    state, files, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

    def emit(**event: Any) -> None:
        if where == "announcing" and event["detail_type"] == "Image Set Created":
            stall()

    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="ingest")
        s3.create_bucket(Bucket="artifacts")
        stalling = StallingS3(s3) if where == "reading" else s3
        with health_imaging(state, stalling, emit=emit) as ahi:
            ahi.put("a/", {path.name: path.read_bytes() for path in files.iterdir()})
            store = ahi.datastore()
            job_id = ahi.start_import(store, "a/")
            say(f"{store} {job_id}")
            threading.Event().wait()


if __name__ == "__main__":
    main()
