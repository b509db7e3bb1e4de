"""A Docker build context holds everything that its Dockerfile takes, and nothing that must not ship."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ahiflow.pipeline_contract import IMAGE_FOLDERS

ROOT = Path(__file__).resolve().parents[3]


def stage(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "stage_assets.py"), "images", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("image", IMAGE_FOLDERS)
def test_a_context_holds_what_its_dockerfile_copies(image: str) -> None:
    done = stage(image)
    assert done.returncode == 0, done.stderr
    context = ROOT / done.stdout.strip()
    lines = (context / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert copies
    sources = [source for words in copies for source in words if not source.startswith("--")]
    assert [source for source in sources if not (context / source).exists()] == []
    assert (context / "requirements.txt").read_text().startswith("-c constraints.txt\n")


@pytest.mark.parametrize("image", IMAGE_FOLDERS)
def test_a_context_holds_no_command_no_definition_and_no_cache(image: str) -> None:
    done = stage(image)
    assert done.returncode == 0, done.stderr
    context = ROOT / done.stdout.strip()
    for absent in ("src/ahiflow/cli", "pipeline/definition"):
        assert not (context / absent).exists()
    assert list(context.rglob("__pycache__")) == []


def test_an_image_that_does_not_exist_is_one_line_and_an_exit_code() -> None:
    done = stage("nope")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no such image: nope" in done.stderr
