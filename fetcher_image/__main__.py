"""`python -m fetcher_image --datastore-id D --image-set-id I [--version-id latest|N]`; the exit code is the result."""

from __future__ import annotations

import os
import sys
import time

from ahiflow import aws
from ahiflow.errors import AhiflowError
from ahiflow.pixels.quiet import ignore_codec_remarks
from fetcher_image.fetch import run, write_message

_SECONDS_BETWEEN_LINES = 10.0


class _Lines:
    """Progress as lines of the job's log: ids of ours and counts, nothing else."""

    def __init__(self) -> None:
        self._frames = 0
        self._last = 0.0

    def total(self, frames: int) -> None:
        self._frames, self._last = frames, time.monotonic()
        _say(f"{frames} frames to fetch")

    def done(self, frames: int) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            _say(f"{frames} of {self._frames} frames verified")


def main() -> int:
    """Run once. A failure is one line on stderr and in ``output/message``, and exit code 1."""
    ignore_codec_remarks()
    environ = dict(os.environ)
    try:
        report = run(sys.argv[1:], environ, aws.client, _Lines()).report
    except AhiflowError as error:
        sys.stderr.write(f"fetcher: {error}\n")
        try:
            write_message(str(error), environ)
        except OSError as unwritable:  # outside of a container there may be no container root
            sys.stderr.write(f"fetcher: the message could not be left in output/: {unwritable.strerror}\n")
        return 1
    done = "already present, checked" if report.already_present else "fetched"
    what = f"image set {report.image_set_id} version {report.version_id}"
    _say(f"{done}: {what}, {report.frames_verified} frames verified")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"fetcher: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
