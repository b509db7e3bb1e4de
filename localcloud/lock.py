"""Who serves from a state directory: a lock that the kernel releases when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ahiflow.errors import ConfigurationError

_SERVE = "serve.lock"
_COMMAND = "command.lock"


@contextmanager
def sole_server(state: Path) -> Iterator[None]:
    """Hold the directory for this process. Raises ConfigurationError when another one does."""
    with (state / _SERVE).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"another local cloud uses {state}: run `make down` first") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def serving_pid(state: Path) -> int | None:
    """Pid of the process that holds the directory, None when nobody does."""
    try:
        lock = (state / _SERVE).open()
    except FileNotFoundError:
        return None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = lock.read()
            return int(text) if text else None
    return None


@contextmanager
def sole_command(state: Path) -> Iterator[None]:
    """One `up` or `down` at a time in a state directory; a second one waits."""
    with (state / _COMMAND).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
