"""`python -m localcloud up`, `down`, `status`: the serving process and the receiver, started apart and kept running."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ahiflow import environment
from ahiflow.environment import Environment
from ahiflow.errors import ConfigurationError
from localcloud import processes, report
from localcloud.describe import CLOUD, HOST, RECEIVER, describe, receiver_variables
from localcloud.lock import serving_pid, sole_command
from localcloud.report import Serving
from localcloud.shell import clean_environment
from localcloud.snapshots import write_private

ROOT: Final = Path(__file__).resolve().parent.parent
_CLOUD_READY_SECONDS = 120.0
_RECEIVER_READY_SECONDS = 30.0
_CLOUD_STOP_SECONDS = 20.0
_RECEIVER_STOP_SECONDS = 105.0  # over the receiver's own stop_timeout_seconds
_PORTS = "ports.json"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """Wanted ports; None: the last ones when they are free, else free ones."""

    cloud: int | None = None
    dicom: int | None = None


def up(state: Path, ports: Ports, say: Say) -> Environment:
    """Start what does not run yet and describe the result in the state directory.

    Raises WorkFailedError naming the process that died, with the end of its log.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with sole_command(state):
        before = _running(state)
        last = _last_ports(state)
        serving = _cloud(state, before.get(CLOUD), ports.cloud or last.cloud, say)
        receiver, dicom_port = _receiver(state, serving, before.get(RECEIVER), ports.dicom or last.dicom, say)
        write_private(state / _PORTS, json.dumps({"cloud": _port_of(serving), "dicom": dicom_port}).encode())
        described = describe(serving, receiver, dicom_port, state)
        environment.save(described, state)
        word = "already up" if before == described.processes else "up"
        say(f"{word}: AWS endpoint {serving.endpoint_url}, DICOM {described.called_ae_title}@{HOST}:{dicom_port}")
        return described


def down(state: Path, say: Say) -> None:
    """Stop the receiver, which first finishes its associations, then the local cloud, which saves its state."""
    if not state.is_dir():
        say("nothing runs here")
        return
    with sole_command(state):
        running = _running(state)
        for module, seconds in ((RECEIVER, _RECEIVER_STOP_SECONDS), (CLOUD, _CLOUD_STOP_SECONDS)):
            if module in running:
                processes.stop(running[module], module, seconds, say)
        environment.remove(state)
        say("down" if running else "nothing runs here")


def status(state: Path, say: Say) -> bool:
    """Say what runs; whether everything does."""
    running = _running(state)
    for module in (CLOUD, RECEIVER):
        say(f"{module}: {'process ' + str(running[module]) if module in running else 'not running'}")
    if set(running) == {CLOUD, RECEIVER} and report.load(state) is not None:
        described = environment.load(state)
        say(f"AWS endpoint {described.endpoint_url}")
        say(f"DICOM {described.called_ae_title}@{described.dicom_host}:{described.dicom_port}")
        return True
    return False


def _cloud(state: Path, pid: int | None, port: int | None, say: Say) -> Serving:
    """The cloud that serves from the state directory, started when there is none, once it is ready."""
    log = state / "logs" / "localcloud.log"
    if pid is None:
        _stage_functions()
        say("starting the local cloud")
        started = processes.start(
            "the local cloud",
            [CLOUD, "serve", "--state", str(state), "--port", str(processes.free_port(port))],
            environment=clean_environment(os.environ),
            folder=ROOT,
            log=log,
        )
    else:
        started = processes.Started("the local cloud", CLOUD, pid, log)

    def ready() -> Serving | None:
        found = report.load(state)
        return found if found is not None and found.pid == started.pid else None

    return processes.wait_for(started, ready, _CLOUD_READY_SECONDS)


def _receiver(state: Path, serving: Serving, pid: int | None, wanted: int | None, say: Say) -> tuple[int, int]:
    """Pid and port of the receiver: the one that runs, when it still points at this cloud, or a new one."""
    if pid is not None:
        described = environment.load(state)
        if described.endpoint_url == serving.endpoint_url and processes.is_taken(described.dicom_port):
            return pid, described.dicom_port
        processes.stop(pid, RECEIVER, _RECEIVER_STOP_SECONDS, say)
    port = processes.free_port(wanted)
    say("starting the receiver")
    started = processes.start(
        "the receiver",
        [RECEIVER],
        environment={**clean_environment(os.environ), **receiver_variables(serving, port)},
        folder=ROOT,
        log=state / "logs" / "storescp.log",
    )
    processes.wait_for(started, lambda: processes.is_taken(port) or None, _RECEIVER_READY_SECONDS)
    return started.pid, port


def _running(state: Path) -> dict[str, int]:
    """Pids of the processes that run, by module: the cloud holds a lock, the receiver is in the description."""
    found = {}
    if (cloud := serving_pid(state)) is not None:
        found[CLOUD] = cloud
    try:
        receiver = environment.load(state).processes.get(RECEIVER)
    except ConfigurationError:
        receiver = None
    if receiver is not None and processes.is_alive(receiver, RECEIVER):
        found[RECEIVER] = receiver
    return found


def _stage_functions() -> None:
    """Stage the functions' zips; work whose inputs did not change is skipped. Raises ConfigurationError."""
    staged = subprocess.run(
        [sys.executable, "tools/stage_assets.py", "lambdas", "--target", "local"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if staged.returncode:
        lines = staged.stderr.strip().splitlines() or ["tools/stage_assets.py failed"]
        raise ConfigurationError(f"the functions could not be staged: {lines[-1]}")


def _port_of(serving: Serving) -> int:
    return int(serving.endpoint_url.rpartition(":")[2])


def _last_ports(state: Path) -> Ports:
    try:
        return Ports(**json.loads((state / _PORTS).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return Ports()
