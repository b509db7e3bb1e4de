"""What is deployed works by itself: a zip needs nothing of this checkout or its environment."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ahiflow.routes import FUNCTIONS
from ahiflow.settings import (
    DeployModelSettings,
    ReconcileSettings,
    RecordImportSettings,
    StartImportSettings,
    StartPipelineSettings,
)

ROOT = Path(__file__).resolve().parents[3]
# Unzipped sizes of 250 MB fail on Lambda; a slow start is felt long before.
MAXIMUM_ZIP_BYTES = 10_000_000
_SETTINGS = frozenset().union(
    *(
        settings.required_names()
        for settings in (
            StartImportSettings,
            RecordImportSettings,
            StartPipelineSettings,
            DeployModelSettings,
            ReconcileSettings,
        )
    )
)

_PROGRAM = """
import sys
sys.path[:0] = [sys.argv[1]]
from lambdas.{function}.handler import handler
class Context:
    function_name = "f"; memory_limit_in_mb = 128; invoked_function_arn = "arn"; aws_request_id = "r"
    def get_remaining_time_in_millis(self): return 1000
outside = [m.__file__ for m in list(sys.modules.values()) if "site-packages" in (getattr(m, "__file__", None) or "")]
assert not outside, outside
body = '{{"id": "1", "source": "ahiflow", "detail-type": "unknown", "detail": {{}}}}'
record = {{"messageId": "m1", "receiptHandle": "r", "body": body, "attributes": {{}}, "messageAttributes": {{}},
          "md5OfBody": "", "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-west-2:123456789012:q",
          "awsRegion": "us-west-2"}}
import json
print("ANSWER" + json.dumps(handler({{"Records": [record]}}, Context())))
"""


@pytest.fixture(scope="module")
def zips() -> dict[str, Path]:
    stage = [sys.executable, str(ROOT / "tools" / "stage_assets.py"), "lambdas", "--target", "local", *FUNCTIONS]
    printed = subprocess.run(stage, check=True, capture_output=True, text=True, timeout=280).stdout
    return {Path(line).stem: ROOT / line for line in printed.splitlines()}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_zip_answers_in_a_clean_process(zips: dict[str, Path], function: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(zips[function]) as archive:
        archive.extractall(tmp_path)
    environment = {
        **dict.fromkeys(_SETTINGS, "x"),
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM.format(function=function), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [answer] = [line.removeprefix("ANSWER") for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert json.loads(answer) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_zip_holds_its_function_and_no_other_and_nothing_heavy(zips: dict[str, Path], function: str) -> None:
    with zipfile.ZipFile(zips[function]) as archive:
        names = archive.namelist()
    assert {name.split("/")[1] for name in names if name.startswith("lambdas/")} == {"__init__.py", function}
    for absent in ("ahiflow/cli/", "ahiflow/pixels/", "ahiflow/fetching/", "numpy/", "typer/", "rich/"):
        assert not any(name.startswith(absent) for name in names), absent
    assert not any("__pycache__" in name for name in names)
    assert zips[function].stat().st_size < MAXIMUM_ZIP_BYTES


def test_an_asset_changes_exactly_when_its_content_does(zips: dict[str, Path]) -> None:
    path = zips["start_import"]
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".sha256").unlink()  # forget that nothing changed: it is written again
    stage = [sys.executable, str(ROOT / "tools" / "stage_assets.py"), "lambdas", "--target", "local", "start_import"]
    subprocess.run(stage, check=True, capture_output=True, timeout=280)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    written = path.stat().st_mtime_ns
    subprocess.run(stage, check=True, capture_output=True, timeout=280)
    assert path.stat().st_mtime_ns == written


def test_a_function_that_does_not_exist_is_one_line_and_an_exit_code() -> None:
    stage = [sys.executable, str(ROOT / "tools" / "stage_assets.py"), "lambdas", "--target", "local", "nope"]
    done = subprocess.run(stage, capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert done.stderr == "stage_assets: no handler: lambdas/nope/handler.py\n"
