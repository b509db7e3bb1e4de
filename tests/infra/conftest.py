"""The synthesised templates of stage dev: those that `make synth` left, or made now when they are absent or stale."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import synth

ROOT = Path(__file__).resolve().parents[2]
BUILD_PYTHON = ROOT / ".venv-build" / "bin" / "python"
Templates = dict[str, dict[str, Any]]


def require_build_environment() -> None:
    if not BUILD_PYTHON.exists():
        if os.environ.get("CI"):
            pytest.fail(".venv-build is missing: `make setup-build` makes it")
        pytest.skip("the CDK is not installed (.venv-build)")


def read_templates(folder: Path) -> Templates:
    """Templates by what comes after the stage in the stack's name."""
    found = {}
    for path in sorted(folder.glob("*.template.json")):
        found[path.name.removesuffix(".template.json").split("-", 2)[2]] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="session")
def dev_folder() -> Path:
    if not synth.is_current("dev"):
        require_build_environment()
        done = subprocess.run(
            [str(BUILD_PYTHON), "-m", "tools.synth"],
            cwd=ROOT,
            env={**os.environ, "STAGE": "dev"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    return synth.output_folder("dev")


@pytest.fixture(scope="session")
def templates(dev_folder: Path) -> Templates:
    return read_templates(dev_folder)


@pytest.fixture(scope="session")
def given_resources_folder(dev_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stage prod with a data store and a bucket that are there already, and without spot training."""
    require_build_environment()
    folder = tmp_path_factory.mktemp("given")
    program = (
        "import dataclasses, json, pathlib, config, app; from aws_cdk import App; from infra.stage import build_stage;"
        "context = json.loads(pathlib.Path('cdk.json').read_text())['context'];"
        f"cdk = App(outdir={str(folder)!r}, context=context);"
        "given = app.configuration('prod', {'DATASTORE_ID': 'd' * 32, 'SAGEMAKER_BUCKET_NAME': 'given-bucket'});"
        "build_stage(cdk, dataclasses.replace(given, training_use_spot=False), root=pathlib.Path.cwd()); cdk.synth()"
    )
    done = subprocess.run([str(BUILD_PYTHON), "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def given_resources(given_resources_folder: Path) -> Templates:
    return read_templates(given_resources_folder)
