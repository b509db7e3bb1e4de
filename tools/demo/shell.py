"""Run the commands a person would type, in the environment that `ahiflow env` prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ahiflow.errors import WorkFailedError

ROOT = Path(__file__).resolve().parent.parent.parent


def python_module(module: str, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run ``python -m module`` from the project's root; standard output. Raises WorkFailedError with its last line."""
    return _call([sys.executable, "-m", module, *arguments], environ)


def ahiflow(*arguments: str, environ: Mapping[str, str], accept: Sequence[int] = (0,)) -> str:
    """Run one `ahiflow` command; standard output. Raises WorkFailedError with its error line."""
    return _call([sys.executable, "-m", "ahiflow.cli.main", *arguments], environ, accept)


def ahiflow_json(*arguments: str, environ: Mapping[str, str], accept: Sequence[int] = (0,)) -> Any:
    """Run one `ahiflow` command with --json and parse what it printed."""
    return json.loads(ahiflow(*arguments, "--json", environ=environ, accept=accept))


def _call(argv: Sequence[str], environ: Mapping[str, str] | None, accept: Sequence[int] = (0,)) -> str:
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode not in accept:
        lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        command = " ".join(argv[2:4]).replace("ahiflow.cli.main", "ahiflow")
        raise WorkFailedError(f"`{command}` ended with {done.returncode}: {lines[-1].removeprefix('ahiflow: ')}")
    return done.stdout
