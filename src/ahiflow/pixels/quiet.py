"""Keeps one codec's remarks out of a program's stderr."""

from __future__ import annotations

import sys


def ignore_codec_remarks() -> None:
    """For entry points. imagecodecs 2026.3.6 cannot raise from one of its callbacks: Python then prints a trace and
    goes on, although the damage is found here (EOC, size, checksum) and reported as one line. Everything else is
    printed as before. To be dropped with Python 3.11, whose last imagecodecs it is.
    """
    report = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if "imagecodecs" not in str(unraisable.object):
            report(unraisable)

    sys.unraisablehook = hook
