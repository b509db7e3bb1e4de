"""The service's SQLite database: one connection, one lock, short transactions."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS datastores (
  id TEXT PRIMARY KEY, name TEXT, status TEXT NOT NULL, storage_format TEXT NOT NULL, kms_key_arn TEXT,
  lambda_authorizer_arn TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL,
  client_token TEXT NOT NULL UNIQUE, request TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY, datastore_id TEXT NOT NULL REFERENCES datastores(id), name TEXT NOT NULL, status TEXT NOT NULL,
  role_arn TEXT NOT NULL, input_uri TEXT NOT NULL, output_uri TEXT NOT NULL, message TEXT,
  submitted_at REAL NOT NULL, ended_at REAL, client_token TEXT NOT NULL, request TEXT NOT NULL,
  UNIQUE (datastore_id, client_token));
CREATE TABLE IF NOT EXISTS image_sets (
  id TEXT PRIMARY KEY, datastore_id TEXT NOT NULL REFERENCES datastores(id), is_primary INTEGER NOT NULL,
  version INTEGER NOT NULL, state TEXT NOT NULL, workflow TEXT NOT NULL,
  created_at REAL NOT NULL, updated_at REAL NOT NULL, deleted_at REAL, accessed_at REAL NOT NULL,
  study_uid TEXT NOT NULL, series_uid TEXT NOT NULL, consistency TEXT NOT NULL, tags TEXT NOT NULL,
  patient_id TEXT, accession_number TEXT, study_id TEXT, study_date_time TEXT);
CREATE INDEX IF NOT EXISTS image_sets_by_series ON image_sets (datastore_id, series_uid);
CREATE INDEX IF NOT EXISTS image_sets_by_study ON image_sets (datastore_id, study_uid);
CREATE TABLE IF NOT EXISTS versions (
  image_set_id TEXT NOT NULL REFERENCES image_sets(id), version INTEGER NOT NULL, workflow TEXT NOT NULL,
  created_at REAL NOT NULL, updated_at REAL NOT NULL, metadata_path TEXT NOT NULL,
  PRIMARY KEY (image_set_id, version));
CREATE TABLE IF NOT EXISTS frames (
  image_set_id TEXT NOT NULL REFERENCES image_sets(id), id TEXT NOT NULL, path TEXT NOT NULL, start INTEGER NOT NULL,
  length INTEGER NOT NULL, transfer_syntax_uid TEXT NOT NULL, PRIMARY KEY (image_set_id, id));
CREATE TABLE IF NOT EXISTS resource_tags (
  arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key));
CREATE TABLE IF NOT EXISTS tasks (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, target TEXT NOT NULL, due_at REAL NOT NULL, UNIQUE (kind, target));
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY, detail_type TEXT NOT NULL, resource TEXT NOT NULL, detail TEXT NOT NULL);
"""


class Database:
    """State that survives ``kill -9``: what a transaction wrote is there after a restart, or none of it is."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.clock = clock
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One serialised read-write transaction; an exception rolls it back. Not nestable."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def query(self, sql: str, *parameters: object) -> list[sqlite3.Row]:
        """Rows of one read outside any transaction."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        """Close the connection; later calls raise sqlite3.ProgrammingError."""
        with self._lock:
            self._connection.close()


def insert(connection: sqlite3.Connection, table: str, **columns: object) -> None:
    """Insert one row."""
    names = ", ".join(columns)
    marks = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))
