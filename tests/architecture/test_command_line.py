"""What a person meets first: every verb of the contract exists, helps, and fails in one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VERBS = ("env", "send", "status", "fetch", "labels", "models", "replay")


def command(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ahiflow.cli.main", *arguments],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_verb() -> None:
    done = command("--help")
    assert done.returncode == 0
    assert [verb for verb in VERBS if verb not in done.stdout] == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    done = command(verb, "--help")
    assert done.returncode == 0, done.stderr[-1000:]


@pytest.mark.parametrize(
    "arguments", [("status",), ("models", "list"), ("fetch", "0" * 32, "--out", "x"), ("replay", "--dead-letters")]
)
def test_without_an_environment_it_says_what_to_do_in_one_line(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = command(*arguments, cwd=tmp_path)
    assert done.returncode != 0
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert "AHIFLOW_" in lines[0]


def test_env_without_a_local_cloud_says_make_up(tmp_path: Path) -> None:
    done = command("env", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "ahiflow: no local cloud here: run `make up` first\n"


def test_unknown_verb_is_refused() -> None:
    assert command("frobnicate").returncode == 2
