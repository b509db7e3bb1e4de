"""`python -m localcloud serve`: the whole local cloud in one process on one loopback port."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config

from ahiflow.errors import ConfigurationError
from config import STAGES
from localcloud import ministack_host, report
from localcloud.adapter import AsgiService
from localcloud.bootstrap.deploy import deploy, request_sweep
from localcloud.bootstrap.plan import Plan
from localcloud.bus import EventBus
from localcloud.gateway import Gateway
from localcloud.lock import sole_server
from localcloud.services import Clients, make_services
from localcloud.shell import aws_variables, clean_environment
from localcloud.snapshots import Snapshots

ACCOUNT_ID = "123456789012"
_LOGGER = logging.getLogger("localcloud.serving")
_ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Options:
    """What to serve. ``services`` are ``module:Class`` paths; without ``bootstrap`` nothing is deployed."""

    state: Path
    port: int
    services: Sequence[str]
    bootstrap: bool = True


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT. Raises AhiflowError when it cannot start; one process per state directory."""
    options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with sole_server(options.state), _running_marker(options.state) as was_killed:
        report.remove(options.state)
        plan = Plan(STAGES["local"], ACCOUNT_ID)
        _prepare_process(options, plan)
        ministack = ministack_host.load(account_id=plan.account_id, region=plan.region)
        snapshots = Snapshots(ministack, options.state / "ministack", ministack_host.KEPT)
        is_first = not snapshots.exist()
        lost = snapshots.load()
        must_reconcile = was_killed or bool(lost) or (is_first and (options.state / "s3").exists())
        asyncio.run(_Host(options, plan, ministack, snapshots).run(must_reconcile=must_reconcile))


class _Host:
    """One life of the process: serve, bootstrap, wait for the signal, close, save."""

    def __init__(self, options: Options, plan: Plan, ministack: ministack_host.MiniStack, snapshots: Snapshots) -> None:
        self._options = options
        self._plan = plan
        self._endpoint_url = f"http://127.0.0.1:{options.port}"
        self._ministack = ministack
        self._snapshots = snapshots
        self._stop = asyncio.Event()
        self._close_server = asyncio.Event()  # later than _stop: what is ending still calls the endpoint

    async def run(self, *, must_reconcile: bool) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop.set)
        options = self._options
        bus = EventBus(self._ministack.put_event, loop, self._snapshots.touch)
        services = [
            AsgiService(service)
            for service in make_services(
                options.services,
                state=options.state,
                account_id=self._plan.account_id,
                region=self._plan.region,
                endpoint_url=self._endpoint_url,
                emit=bus,
            )
        ]
        gateway = Gateway(services, self._ministack.app, hosted=ministack_host.HOSTED, touched=self._snapshots.touch)
        trigger = self._close_server.wait
        server = asyncio.create_task(hypercorn_serve(gateway, _config(options.port), shutdown_trigger=trigger))  # type: ignore[arg-type]
        try:
            await self._begin(server, services, bus, must_reconcile=must_reconcile)
            await self._until_stopped(server)
        finally:
            await asyncio.gather(*(asyncio.to_thread(service.close) for service in services))
            self._close_server.set()
            await asyncio.wait([server], timeout=10)
            self._snapshots.save()
            report.remove(options.state)
            await asyncio.to_thread(self._ministack.end_functions)

    async def _begin(
        self, server: asyncio.Task[None], services: Sequence[AsgiService], bus: EventBus, *, must_reconcile: bool
    ) -> None:
        await _answers(self._options.port, server)
        for service in services:
            await asyncio.to_thread(service.service.start)
        deployment = None
        if self._options.bootstrap:
            deployment = await self._while_serving(server, asyncio.to_thread(self._deploy, must_reconcile))
        self._snapshots.save()
        await asyncio.to_thread(bus.open)
        described = report.Serving(
            pid=os.getpid(),
            endpoint_url=self._endpoint_url,
            account_id=self._plan.account_id,
            deployment=deployment,
        )
        report.save(described, self._options.state)
        _LOGGER.info("the local cloud answers at %s", self._endpoint_url)

    async def _while_serving(self, server: asyncio.Task[None], work: Any) -> Any:
        task = asyncio.ensure_future(work)
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({server, task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not task.done():
            task.cancel()
            if server.done():
                server.result()
            raise ConfigurationError("the local cloud was stopped while it was being set up")
        return task.result()

    def _deploy(self, must_reconcile: bool) -> report.Deployment:
        aws = Clients()
        deployment = deploy(self._plan, aws, state=self._options.state, endpoint_url=self._endpoint_url)
        if must_reconcile:
            request_sweep(self._plan, aws)
        return deployment

    async def _until_stopped(self, server: asyncio.Task[None]) -> None:
        keeping = asyncio.create_task(self._snapshots.keep())
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait({server, keeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        keeping.cancel()
        stopping.cancel()
        for task in done & {server, keeping}:
            task.result()


async def _answers(port: int, server: asyncio.Task[None]) -> None:
    deadline = asyncio.get_running_loop().time() + _ANSWER_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        if server.done():
            server.result()
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.02)
    raise ConfigurationError(f"port {port} does not answer")


def _config(port: int) -> Config:
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.backlog = 256
    config.graceful_timeout = 3
    config.loglevel = "WARNING"
    config.h11_max_incomplete_size = 1024 * 1024
    config.include_server_header = False
    return config


def _prepare_process(options: Options, plan: Plan) -> None:
    temporary = _fresh_temporary(options.state / "tmp")
    cleaned = clean_environment(os.environ)
    os.environ.clear()
    os.environ.update(cleaned)
    os.environ["TMPDIR"] = str(temporary)
    os.environ.update(aws_variables(f"http://127.0.0.1:{options.port}", plan.account_id, plan.region))
    os.environ.update(
        ministack_host.environment(
            state=options.state, port=options.port, account_id=plan.account_id, region=plan.region
        )
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _fresh_temporary(folder: Path) -> Path:
    """An empty folder of this process's own; what earlier ones left goes, as far as it lets itself be removed.

    A function's worker may outlive a killed local cloud for a moment and still write where it was.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    for left in folder.iterdir():
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=folder))


@contextmanager
def _running_marker(state: Path) -> Iterator[bool]:
    """Leave a marker that only an orderly end removes; gives whether the last end was not one."""
    marker = state / "running"
    was_killed = marker.exists()
    marker.touch()
    yield was_killed
    marker.unlink(missing_ok=True)
