"""Real subprocesses: the entry point of a container, in a process group and an environment of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ahiflow.pipeline_contract import CONTAINER_ROOT_VARIABLE, DEFAULT_CONTAINER_ROOT
from localcloud.sagemaker.errors import JobFailedError

_NOWHERE = "http://127.0.0.1:9"  # the discard port


def relocate(text: str, root: Path) -> str:
    """Replace a leading ``/opt/ml`` by the job's directory; anything else is returned as it is."""
    if text == DEFAULT_CONTAINER_ROOT or text.startswith(DEFAULT_CONTAINER_ROOT + "/"):
        return str(root) + text[len(DEFAULT_CONTAINER_ROOT) :]
    return text


def container_environment(
    *, root: Path, home: Path, endpoint_url: str | None, region: str, own: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of a container: nothing of this process's own leaks in.

    ``endpoint_url`` None isolates it: it has no credentials, and AWS is at a port where nobody answers.
    """
    temporary = root / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "AWS_ENDPOINT_URL": endpoint_url or _NOWHERE,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if endpoint_url:
        environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    environment |= {key: relocate(value, root) for key, value in own.items()}
    environment[CONTAINER_ROOT_VARIABLE] = str(root)
    return environment


class Container:
    """A running subprocess with its group. ``identity`` finds it again after a crash."""

    def __init__(self, argv: Sequence[str], *, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        """Start. Raises JobFailedError when there is no such program."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as sink:
            try:
                self._process = subprocess.Popen(
                    list(argv),
                    cwd=folder,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise JobFailedError(f'ClientError: exec: "{argv[0]}": {error.strerror}') from error
        self.log = log

    @property
    def identity(self) -> dict[str, Any]:
        """Process id and start time: together they are never another process's."""
        return {"pid": self._process.pid, "started": start_time(self._process.pid)}

    def wait(self, seconds: float) -> int | None:
        """Exit code, or None when it still runs after ``seconds``. A signal is a negative number."""
        try:
            return self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def poll(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask the whole group to end (SIGTERM)."""
        _signal_group(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the whole group now and collect it. Also ends children that outlived the entry point."""
        _signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait()


def start_time(pid: int) -> str | None:
    """When a process started, as the system counts it; None when there is no such process (or it is dead already)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] == "Z" else fields[19]  # proc(5): state is field 3, starttime field 22
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip() or None


def kill_stray(identity: Mapping[str, Any]) -> bool:
    """Kill the process group that a dead service left behind; True when it was still there."""
    pid = int(identity["pid"])
    if identity.get("started") is None or start_time(pid) != identity["started"]:
        return False
    _signal_group(pid, signal.SIGKILL)
    return True


def kill_strays_under(directory: Path) -> int:
    """Kill processes whose container root lies under ``directory``: started just before a crash, never recorded.

    Where there is no /proc the recorded ids are all there is; returns how many were killed.
    """
    wanted = f"{CONTAINER_ROOT_VARIABLE}={directory}{os.sep}".encode()
    killed = 0
    for entry in Path("/proc").glob("[0-9]*/environ"):
        pid = int(entry.parent.name)
        with contextlib.suppress(OSError):  # another user's, or gone in between
            if pid != os.getpid() and any(item.startswith(wanted) for item in entry.read_bytes().split(b"\0")):
                os.kill(pid, signal.SIGKILL)
                killed += 1
    return killed


def tail(log: Path, characters: int = 600) -> str:
    """The end of a log as one line, for a FailureReason."""
    try:
        text = log.read_bytes()[-8 * characters :].decode(errors="replace")
    except FileNotFoundError:
        return ""
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())[-characters:]


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)
