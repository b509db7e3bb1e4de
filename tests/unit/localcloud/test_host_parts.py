"""The small parts of the host: bus, environment, lock, processes."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ahiflow.errors import ConfigurationError, ServiceUnavailableError, WorkFailedError
from localcloud import processes
from localcloud.bus import EventBus
from localcloud.lock import serving_pid, sole_server
from localcloud.services import make_services
from localcloud.shell import clean_environment


def test_events_wait_for_the_rules_and_keep_their_order() -> None:
    put: list[str] = []

    async def scenario() -> None:
        bus = EventBus(lambda **event: put.append(event["detail_type"]), asyncio.get_running_loop(), lambda: None)

        def emit(name: str) -> None:
            bus(source="aws.sagemaker", detail_type=name, resources=[], detail={})

        await asyncio.to_thread(emit, "first")
        await asyncio.to_thread(emit, "second")
        assert put == []
        await asyncio.to_thread(bus.open)
        await asyncio.to_thread(emit, "third")

    asyncio.run(scenario())
    assert put == ["first", "second", "third"]


def test_an_event_after_the_end_is_an_error() -> None:
    loop = asyncio.new_event_loop()
    bus = EventBus(lambda **event: None, loop, lambda: None)
    bus.open()
    loop.close()
    with pytest.raises(ServiceUnavailableError, match="One"):
        bus(source="s", detail_type="One", resources=[], detail={})


def test_nothing_leads_children_to_a_real_account() -> None:
    real = {
        "AWS_PROFILE": "hospital",
        "AWS_ENDPOINT_URL_S3": "x",
        "https_proxy": "p",
        "PATH": "/bin",
    }
    clean = clean_environment(real)
    assert clean["PATH"] == "/bin"
    assert clean["AWS_CONFIG_FILE"] == clean["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
    assert not {"AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "https_proxy"} & clean.keys()


def test_the_lock_tells_who_serves_and_goes_with_its_holder(tmp_path: Path) -> None:
    assert serving_pid(tmp_path) is None
    program = (
        "import sys, pathlib\nfrom localcloud.lock import sole_server\n"
        f"with sole_server(pathlib.Path({str(tmp_path)!r})):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert serving_pid(tmp_path) == holder.pid
        with pytest.raises(ConfigurationError, match="another local cloud"), sole_server(tmp_path):
            pass
        assert serving_pid(tmp_path) == holder.pid
        holder.kill()
    assert serving_pid(tmp_path) is None


def test_a_process_that_dies_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    started = processes.start(
        "the receiver", ["no_such_module"], environment=dict(os.environ), folder=tmp_path, log=tmp_path / "logs" / "x"
    )
    with pytest.raises(WorkFailedError, match=r"(?s)the receiver died.*No module named no_such_module"):
        processes.wait_for(started, lambda: None, 30)


def test_a_pid_of_another_program_is_not_ours() -> None:
    assert not processes.is_alive(os.getpid(), "no_such_module")
    assert not processes.is_alive(2**22 + 1, "localcloud")


def test_the_last_port_is_taken_again_only_when_it_is_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert processes.is_taken(port)
        assert processes.free_port(port) != port
    assert not processes.is_taken(port)
    assert processes.free_port(port) == port


def test_a_service_that_does_not_exist_is_named(tmp_path: Path) -> None:
    def emit(**event: Any) -> None: ...

    with pytest.raises(ConfigurationError, match=r"no local service localcloud\.nowhere:Service"):
        make_services(
            ["localcloud.nowhere:Service"],
            state=tmp_path,
            account_id="123456789012",
            region="us-east-1",
            endpoint_url="http://127.0.0.1:1",
            emit=emit,
        )


def test_a_process_that_does_not_react_is_killed_with_a_message() -> None:
    program = (
        "import signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\nsignal.pause()"
    )
    said: list[str] = []
    with subprocess.Popen([sys.executable, "-c", program, "deaf_module"], stdout=subprocess.PIPE) as deaf:
        assert deaf.stdout is not None
        assert deaf.stdout.readline() == b"deaf\n"
        processes.stop(deaf.pid, "deaf_module", 0.3, said.append)
        assert not processes.is_alive(deaf.pid, "deaf_module")
    assert said == [f"deaf_module (process {deaf.pid}) did not end in 0 s: killing it"]
