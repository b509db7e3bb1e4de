"""Work that is due at a time, kept in the database: a restart goes on where the last process stopped."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Container, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from localcloud.healthimaging.state.database import Database

_LOGGER = logging.getLogger("localcloud.healthimaging.tasks")
_IDLE_SECONDS = 5.0
_RETRY_SECONDS = 1.0

Handler = Callable[[str], None]


def schedule(connection: sqlite3.Connection, kind: str, target: str, due_at: float) -> None:
    """Add a task to the caller's transaction. Call :meth:`TaskRunner.wake` after it."""
    connection.execute("INSERT OR REPLACE INTO tasks (kind, target, due_at) VALUES (?, ?, ?)", (kind, target, due_at))


def finish(connection: sqlite3.Connection, kind: str, target: str) -> None:
    """Remove a task in the same transaction as what it achieved."""
    connection.execute("DELETE FROM tasks WHERE kind = ? AND target = ?", (kind, target))


class TaskRunner:
    """Runs due tasks. A handler that returns without :func:`finish`, or raises, is run again a second later.

    Kinds named in ``slow`` have threads of their own, so that a change of state never waits behind an import.
    """

    def __init__(
        self, database: Database, handlers: Mapping[str, Handler], slow: Container[str], slow_workers: int = 4
    ) -> None:
        self._database = database
        self._handlers = handlers
        self._wake = threading.Condition()
        self._closing = False
        self._running: set[tuple[str, str]] = set()
        self._slow = slow
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="healthimaging-task")
        self._slow_pool = ThreadPoolExecutor(slow_workers, thread_name_prefix="healthimaging-slow-task")
        self._thread = threading.Thread(target=self._loop, name="healthimaging-tasks", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the table now."""
        with self._wake:
            self._wake.notify()

    def close(self) -> None:
        """Stop. A running handler should notice by its own means; what it leaves is done at the next start."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        for pool in (self._pool, self._slow_pool):
            pool.shutdown(wait=True, cancel_futures=True)

    def _loop(self) -> None:
        with self._wake:
            while not self._closing:
                pause = self._start_due()
                self._wake.wait(pause)

    def _start_due(self) -> float:
        now = self._database.clock()
        pause = _IDLE_SECONDS
        for row in self._database.query("SELECT kind, target, due_at FROM tasks ORDER BY due_at, id"):
            key = (row["kind"], row["target"])
            if key in self._running:
                continue
            if row["due_at"] > now:
                return float(row["due_at"]) - now
            self._running.add(key)
            pool = self._slow_pool if row["kind"] in self._slow else self._pool
            future = pool.submit(self._handlers[row["kind"]], row["target"])
            future.add_done_callback(partial(self._done, key))
        return pause

    def _done(self, key: tuple[str, str], future: Future[None]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            # The type and place only: messages of pixel and metadata code may quote what was read.
            _LOGGER.error("task %s %s failed: %s; it is tried again", key[0], key[1], _where(error))
        with self._wake:
            if not self._closing:
                with self._database.transaction() as connection:
                    connection.execute(
                        "UPDATE tasks SET due_at = ? WHERE kind = ? AND target = ?",
                        (self._database.clock() + _RETRY_SECONDS, *key),
                    )
            self._running.discard(key)
            self._wake.notify()


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""
    return type(error).__name__ + place
