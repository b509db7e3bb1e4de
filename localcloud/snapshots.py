"""What MiniStack holds in memory only, kept on disk so that it survives ``kill -9``.

One file per service, mode 0600 (keys and the ledger are in them), replaced atomically, only when its content changed.
Whatever happened in the last couple of seconds before a crash may be missing: the reconcile function finds it again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ahiflow.errors import ConfigurationError

_LOGGER = logging.getLogger("localcloud.snapshots")
_INTERVAL_SECONDS = 1.5
_MAXIMUM_SHARE = 0.05  # of the event loop's time that capturing may take
# Lost keys cannot be rebuilt: without them approvals and pseudonyms would silently become others.
_IRREPLACEABLE = frozenset({"kms", "secretsmanager"})


class Holder(Protocol):
    """What a snapshot is taken of."""

    def capture(self, name: str) -> bytes:
        """State of one service. Raises RuntimeError when it changes meanwhile."""

    def restore(self, name: str, document: bytes) -> None:
        """Load what ``capture`` gave. Raises ValueError when it is torn."""


class Snapshots:
    """Keeps the services' state in ``folder``. Everything but ``touch`` runs on the event loop or before it."""

    def __init__(self, holder: Holder, folder: Path, names: Sequence[str]) -> None:
        self._holder = holder
        self._folder = folder
        self._names = names
        self._digests: dict[str, str] = {}
        self._is_dirty = False

    def exist(self) -> bool:
        """Whether anything was ever kept here."""
        return any(self._path(name).exists() for name in self._names)

    def load(self) -> list[str]:
        """Restore what is there, before serving; gives the names of the services that could not be restored.

        Raises ConfigurationError when one that cannot be rebuilt (keys, secrets) is unreadable.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lost = []
        for name in self._names:
            path = self._path(name)
            if not path.exists():
                continue
            try:
                self._holder.restore(name, path.read_bytes())
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if name in _IRREPLACEABLE:
                    raise ConfigurationError(f"{path} is damaged and holds keys: restore it, or start anew") from error
                _LOGGER.error("the kept state of %s is damaged: starting without it", name)
                lost.append(name)
        return lost

    def touch(self) -> None:
        """Say that something changed. Any thread."""
        self._is_dirty = True

    async def keep(self) -> None:
        """Save soon after each change, until cancelled."""
        pause = _INTERVAL_SECONDS
        while True:
            await asyncio.sleep(pause)
            if self._is_dirty:
                self._is_dirty = False
                started = time.perf_counter()
                self.save()
                pause = max(_INTERVAL_SECONDS, (time.perf_counter() - started) / _MAXIMUM_SHARE)

    def save(self) -> None:
        """Save what changed since the last time. Raises OSError when the disk refuses."""
        for name in self._names:
            try:
                document = self._holder.capture(name)
            except RuntimeError:
                _LOGGER.debug("%s changed while it was captured: next time", name)
                self._is_dirty = True
                continue
            digest = hashlib.sha256(document).hexdigest()
            if self._digests.get(name) != digest:
                write_private(self._path(name), document)
                self._digests[name] = digest

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def write_private(path: Path, document: bytes) -> None:
    """Replace a file atomically and durably, mode 0600."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(document)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
