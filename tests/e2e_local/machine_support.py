"""A local cloud and receiver, started the way a person starts them, and the commands a person types."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data" / "dev"


@dataclass
class Machine:
    """One state directory: its local cloud, receiver and shell."""

    state: Path

    def up(self) -> None:
        done = self.python("localcloud", "up", "--state", str(self.state))
        assert done.returncode == 0, done.stdout + done.stderr

    def down(self) -> None:
        self.python("localcloud", "down", "--state", str(self.state))

    def python(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._call([sys.executable, "-m", module, *arguments], self.clean)

    def ahiflow(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._call([sys.executable, "-m", "ahiflow.cli.main", *arguments], self.shell)

    def aws(self, *arguments: str) -> Any:
        done = self._call([str(Path(sys.executable).parent / "aws"), *arguments, "--output", "json"], self.shell)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    def tool(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return self._call(list(argv), self.shell)

    @property
    def clean(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), "AHIFLOW_STATE": str(self.state)}

    @property
    def facts(self) -> dict[str, Any]:
        """What `ahiflow env --json` prints."""
        done = self._call([sys.executable, "-m", "ahiflow.cli.main", "env", "--json"], self.clean)
        assert done.returncode == 0, done.stderr
        parsed: dict[str, Any] = json.loads(done.stdout)
        return parsed

    @property
    def shell(self) -> dict[str, str]:
        """The environment after `eval "$(ahiflow env)"`, as bash evaluates it."""
        script = f'eval "$({sys.executable} -m ahiflow.cli.main env)" && env -0'
        done = subprocess.run(
            ["bash", "-c", script], cwd=ROOT, env=self.clean, capture_output=True, text=True, check=True
        )
        return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)

    def client(self, service: str) -> Any:
        shell = self.shell
        from botocore.config import Config

        return boto3.client(
            service,
            endpoint_url=shell["AWS_ENDPOINT_URL"],
            region_name=shell["AWS_DEFAULT_REGION"],
            aws_access_key_id=shell["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=shell["AWS_SECRET_ACCESS_KEY"],
            config=Config(inject_host_prefix=False),
        )

    def kill_everything(self) -> None:
        """kill -9 to every process of this local cloud at once."""
        for pid in self.facts["processes"].values():
            os.kill(pid, signal.SIGKILL)

    def _call(self, argv: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=600)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 120.0) -> Any:
    """The condition's first truthy value. Fails the test, saying what did not come, at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.25)
