"""Processes that outlive the command that started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ahiflow.errors import WorkFailedError

_PAUSE_SECONDS = 0.05
_TAIL_LINES = 12
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Started:
    """A process, what it is called, the module that it runs, and its log. ``child`` when it was started here."""

    name: str
    module: str
    pid: int
    log: Path
    child: subprocess.Popen[bytes] | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.child.poll() is None if self.child is not None else is_alive(self.pid, self.module)


def start(name: str, module: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path) -> Started:
    """Start ``python -m <module>`` in a session of its own, its output appended to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Started(name, module[0], process.pid, log, process)


def wait_for(started: Started, ready: Callable[[], Result | None], seconds: float) -> Result:
    """Wait until ``ready`` gives something. Raises WorkFailedError with the end of the log when the process dies.

    One that is late is ended, and raises the same.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not started.is_alive:
            raise WorkFailedError(f"{started.name} died; the end of {started.log}:\n{tail(started.log)}")
        if (result := ready()) is not None:
            return result
        time.sleep(_PAUSE_SECONDS)
    os.kill(started.pid, signal.SIGTERM)
    raise WorkFailedError(
        f"{started.name} was not ready in {seconds:.0f} s; the end of {started.log}:\n{tail(started.log)}"
    )


def tail(log: Path) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])


def is_alive(pid: int, module: str) -> bool:
    """Whether the process runs, is no zombie, and runs ``module``: a pid may have been given to another process."""
    folder = Path("/proc") / str(pid)
    if not Path("/proc/self/stat").exists():
        return _is_alive_says_ps(pid, module)
    try:
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        arguments = (folder / "cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX" and module.encode() in arguments


def _is_alive_says_ps(pid: int, module: str) -> bool:
    shown = subprocess.run(
        ["ps", "-o", "stat=,command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(shown) and not shown.startswith("Z") and f"-m {module}" in shown


def stop(pid: int, module: str, seconds: float, say: Callable[[str], None]) -> None:
    """End a process with SIGTERM; after ``seconds`` say so and send SIGKILL. Nothing happens when it is gone."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        if not is_alive(pid, module):
            return
        if number == signal.SIGKILL:
            say(f"{module} (process {pid}) did not end in {seconds:.0f} s: killing it")
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while is_alive(pid, module) and time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)


def is_taken(port: int) -> bool:
    """Whether something listens on the loopback port, found without connecting: a connection that says nothing
    occupies an association of a DICOM receiver until its time-out.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def free_port(preferred: int | None) -> int:
    """The preferred loopback port when it can be bound, else a free one."""
    if preferred is not None and not is_taken(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
