"""The committed definition is what the SDK renders: otherwise AWS and the local cloud run something nobody wrote."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BUILD_PYTHON = ROOT / ".venv-build" / "bin" / "python"


@pytest.mark.timeout(300)
def test_the_committed_definition_is_the_rendered_one() -> None:
    if not BUILD_PYTHON.exists():
        if os.environ.get("CI"):
            pytest.fail(".venv-build is missing: `make setup-build` makes it")
        pytest.skip("the SageMaker SDK is not installed (.venv-build)")
    # No credentials and no way to reach anything: rendering must not need them.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [str(BUILD_PYTHON), "-m", "pipeline.definition.render", "--check"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
