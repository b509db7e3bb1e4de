"""Local clouds for tests: ``local_cloud`` (everything; marker e2e), ``bare_cloud`` (MiniStack and an echo service)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config

from ahiflow import environment
from localcloud import processes, report
from localcloud.shell import aws_variables, clean_environment

ROOT = Path(__file__).resolve().parent.parent
Result = TypeVar("Result")
_SERVE = (sys.executable, "-m", "localcloud", "serve")


def until(condition: Callable[[], Result | None], what: str, seconds: float = 30.0) -> Result:
    """Wait for a condition, with a deadline, and give what it gives."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what}: not in {seconds:.0f} s")


def client_for(service: str, variables: dict[str, str]) -> Any:
    """A boto3 client from the variables alone, whatever the environment says."""
    return boto3.Session(
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    ).client(
        service,
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 2, "mode": "standard"}),
    )


def run(arguments: Sequence[str], variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of this environment in the repository root, with an environment that reaches no real account."""
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={**clean_environment(os.environ), **(variables or {})},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@dataclass
class LocalCloud:
    """A whole local cloud that `up` started in ``state``."""

    state: Path

    @property
    def environment(self) -> environment.Environment:
        """Its description, read anew."""
        return environment.load(self.state)

    def client(self, service: str) -> Any:
        """A boto3 client for it."""
        return client_for(service, self.environment.shell)

    def run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program in a shell that did `eval "$(ahiflow env)"`."""
        return run(arguments, self.environment.shell)

    def up(self) -> subprocess.CompletedProcess[str]:
        """`python -m localcloud up`; fails the test when it fails."""
        done = run([sys.executable, "-m", "localcloud", "up", "--state", str(self.state)])
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def down(self) -> subprocess.CompletedProcess[str]:
        """`python -m localcloud down`."""
        return run([sys.executable, "-m", "localcloud", "down", "--state", str(self.state)])

    def kill(self, process: str) -> None:
        """End a process as a power cut would, and wait until it is gone."""
        pid = self.environment.processes[process]
        os.kill(pid, signal.SIGKILL)
        until(lambda: not processes.is_alive(pid, process), f"{process} is gone")


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A whole local cloud, shared by the session. Tests that stop or kill it must bring it back with ``up()``."""
    cloud = LocalCloud(tmp_path_factory.mktemp("local-cloud"))
    try:
        cloud.up()
        yield cloud
    finally:
        cloud.down()


@dataclass
class BareCloud:
    """A serving process without deployment: MiniStack, and the echo service of these tests."""

    state: Path
    services: tuple[str, ...] = ("echo_service:EchoService",)
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def variables(self) -> dict[str, str]:
        """AWS variables that point at it."""
        return aws_variables(f"http://127.0.0.1:{self.port}", "123456789012", "us-east-1")

    def client(self, service: str) -> Any:
        """A boto3 client for it."""
        return client_for(service, self.variables)

    def start(self, *, on_another_port: bool = False) -> None:
        """Start it and wait until it is ready."""
        if not self.port or on_another_port:
            self.port = processes.free_port(None)
        names = [part for service in self.services for part in ("--service", service)]
        log = self.state.with_suffix(".log")
        with log.open("ab") as output:
            process = self.process = subprocess.Popen(
                [*_SERVE, "--only-services", "--state", str(self.state), "--port", str(self.port), *names],
                cwd=ROOT,
                env={**clean_environment(os.environ), "PYTHONPATH": str(ROOT / "tests" / "contract" / "ministack")},
                stdout=output,
                stderr=output,
            )

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            found = report.load(self.state)
            return found is not None and found.pid == process.pid

        until(ready, "the bare cloud is ready")

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it in order; gives its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def bare_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareCloud]:
    """A bare cloud, shared by a module."""
    cloud = BareCloud(tmp_path_factory.mktemp("bare-cloud") / "state")
    cloud.start()
    yield cloud
    if cloud.process is not None and cloud.process.poll() is None:
        cloud.stop()
