"""State that survives ``kill -9``: resources, idempotency tokens and the event outbox in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resource (
    kind TEXT NOT NULL, key TEXT NOT NULL, parent TEXT NOT NULL, body TEXT NOT NULL, sequence INTEGER NOT NULL,
    PRIMARY KEY (kind, key));
CREATE INDEX IF NOT EXISTS resource_parent ON resource (kind, parent);
CREATE TABLE IF NOT EXISTS token (kind TEXT NOT NULL, token TEXT NOT NULL, fingerprint TEXT NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY (kind, token));
CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class Store:
    """Resources are JSON documents by (kind, key). Thread-safe; writes inside one ``transaction`` are one commit."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the store: what is read stays true, what is written is committed together. May be nested."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:  # rolled back and raised again, whatever it was
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth = 0

    def put(self, kind: str, key: str, body: dict[str, Any], parent: str = "") -> None:
        """Create or replace a resource. ``parent`` is fixed by the first put."""
        with self.transaction():
            changed = self._connection.execute(
                "UPDATE resource SET body = ? WHERE kind = ? AND key = ?", (json.dumps(body), kind, key)
            )
            if not changed.rowcount:
                self._connection.execute(
                    "INSERT INTO resource VALUES (?, ?, ?, ?, ?)",
                    (kind, key, parent, json.dumps(body), self.next_number("sequence")),
                )

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """The resource, a copy of its own, or None."""
        with self._lock:
            query = "SELECT body FROM resource WHERE kind = ? AND key = ?"
            row = self._connection.execute(query, (kind, key)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def delete(self, kind: str, key: str) -> None:
        """Remove a resource; nothing happens when there is none."""
        with self.transaction():
            self._connection.execute("DELETE FROM resource WHERE kind = ? AND key = ?", (kind, key))

    def all(self, kind: str, parent: str | None = None) -> list[dict[str, Any]]:
        """Resources of a kind, oldest first."""
        query, values = "SELECT body FROM resource WHERE kind = ?", [kind]
        if parent is not None:
            query, values = query + " AND parent = ?", [kind, parent]
        with self._lock:
            rows = self._connection.execute(query + " ORDER BY sequence", values).fetchall()
        return [json.loads(row[0]) for row in rows]

    def next_number(self, name: str) -> int:
        """The next of 1, 2, 3, ...: never given twice."""
        with self.transaction():
            row = self._connection.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
            value = (row[0] if row else 0) + 1
            self._connection.execute("INSERT OR REPLACE INTO counter VALUES (?, ?)", (name, value))
        return value

    def token(self, kind: str, token: str) -> tuple[str, str] | None:
        """(fingerprint of the request, value) that the token was used for, or None."""
        with self._lock:
            query = "SELECT fingerprint, value FROM token WHERE kind = ? AND token = ?"
            row = self._connection.execute(query, (kind, token)).fetchone()
        return None if row is None else (row[0], row[1])

    def put_token(self, kind: str, token: str, fingerprint: str, value: str) -> None:
        """Remember what a token was used for; kept for good."""
        with self.transaction():
            self._connection.execute("INSERT INTO token VALUES (?, ?, ?, ?)", (kind, token, fingerprint, value))

    def append_event(self, event: dict[str, Any]) -> None:
        """Put an event into the outbox, in the transaction of the change that it tells of."""
        with self.transaction():
            self._connection.execute("INSERT INTO outbox (event) VALUES (?)", (json.dumps(event),))

    def pending_events(self, limit: int = 100) -> list[tuple[int, dict[str, Any]]]:
        """Events not yet delivered, oldest first."""
        with self._lock:
            rows = self._connection.execute("SELECT id, event FROM outbox ORDER BY id LIMIT ?", (limit,)).fetchall()
        return [(row[0], json.loads(row[1])) for row in rows]

    def drop_event(self, event_id: int) -> None:
        """Forget a delivered event."""
        with self.transaction():
            self._connection.execute("DELETE FROM outbox WHERE id = ?", (event_id,))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
