"""Importing any module needs no environment, no network, and configures nothing (style: "import does nothing")."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("src/ahiflow", "storescp", "fetcher_image", "lambdas", "pipeline", "localcloud", "tools")
# Need the SageMaker SDK, which lives in the build environment only.
BUILD_TIME = ("pipeline.definition",)

PROBE = """
import logging, os, socket, sys, threading
def refuse(*arguments, **options):
    raise SystemExit("import opened a socket")
socket.socket.connect = refuse
before = (dict(os.environ), list(logging.getLogger().handlers), threading.active_count())
for name in sys.argv[1:]:
    __import__(name)
    after = (dict(os.environ), list(logging.getLogger().handlers), threading.active_count())
    # Libraries may set variables of their own; ours may not.
    ours = {k for k in after[0] if k.startswith(("AHIFLOW", "AWS", "POWERTOOLS")) and k not in before[0]}
    if ours or after[1] != before[1]:
        raise SystemExit(f"{name}: import changed the environment or the log handlers: {sorted(ours)}")
"""


def modules(package: str) -> list[str]:
    base = ROOT / "src" if package.startswith("src/") else ROOT
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
        if not name.endswith("__main__") and not name.startswith(BUILD_TIME) and "conftest" not in name:
            found.append(name)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_import_with_an_empty_environment_does_nothing(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *modules(package)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("package", [*PACKAGES, "infra"])
def test_package_markers_are_empty(package: str) -> None:
    """A package costs nothing but what is asked of it. Only the library's root says its version."""
    markers = [path for path in (ROOT / package).rglob("__init__.py") if path != ROOT / "src/ahiflow/__init__.py"]
    assert markers
    assert [str(path.relative_to(ROOT)) for path in markers if path.read_text().strip()] == []
