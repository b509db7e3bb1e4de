"""A Storage SCU: sends files as they are, one association per study, so that a study arrives as one batch."""

from __future__ import annotations

import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from ahiflow.dicom.sendable import RefusedFile, SendableFile, find_files, inspect
from ahiflow.errors import ServiceUnavailableError

_MAXIMUM_CONTEXTS: Final = 128  # PS3.8 §9.3.2.2: odd ids from 1 to 255
_WARNINGS: Final = range(0xB000, 0xC000)  # PS3.4 B.2.3: stored, with a remark
_ATTEMPTS: Final = 5  # associations per group when the receiver is full or the connection is lost
_TIMEOUT_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True)
class StorageReceiver:
    """Who receives, and as whom it is called."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str = "AHIFLOW_SEND"


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of the files. ``sent`` counts C-STORE requests that were answered or lost, each file once."""

    sent: int
    acknowledged: int
    refused: tuple[RefusedFile, ...]
    associations: int


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """One file is done; ``reason`` is None when it was acknowledged. ``total`` is the number of files."""

    path: Path
    reason: str | None
    total: int


def send_files(
    paths: Iterable[Path],
    receiver: StorageReceiver,
    *,
    parallel: int = 2,
    on_outcome: Callable[[FileOutcome], None] = lambda _: None,
) -> SendResult:
    """Send every file of the paths (folders are walked), in its own transfer syntax, without changing its data set.

    A file that cannot be sent is refused by name and the others go on. Raises ServiceUnavailableError when the receiver
    cannot be reached at all. ``on_outcome`` is called from the sending threads, one call at a time.
    """
    found = [inspect(path) for path in find_files(paths)]
    sendable = [one for one in found if isinstance(one, SendableFile)]
    tally = _Tally(len(found), on_outcome)
    for one in found:
        if isinstance(one, RefusedFile):
            tally.refuse(one.path, one.reason)
    with ThreadPoolExecutor(max_workers=max(1, parallel)) as pool:
        for done in [pool.submit(_send_group, group, receiver, tally) for group in _groups(sendable)]:
            done.result()
    return tally.result()  # raises when there never was an association


class _Tally:
    """Counts of all threads."""

    def __init__(self, total: int, on_outcome: Callable[[FileOutcome], None]) -> None:
        self._total = total
        self._on_outcome = on_outcome
        self._lock = threading.Lock()
        self._acknowledged = 0
        self._sent = 0
        self._associations = 0
        self._refused: list[RefusedFile] = []
        self._error: ServiceUnavailableError | None = None

    def association(self) -> None:
        with self._lock:
            self._associations += 1

    def refuse(self, path: Path, reason: str, *, sent: bool = False) -> None:
        with self._lock:
            self._sent += sent
            self._refused.append(RefusedFile(path, reason))
            self._on_outcome(FileOutcome(path, reason, self._total))

    def unreachable(self, files: Sequence[SendableFile], error: ServiceUnavailableError) -> None:
        """Files for which no association could be had: refused if others could, else the whole sending failed."""
        with self._lock:
            self._error = error
            if not self._associations:
                return
        for one in files:
            self.refuse(one.path, str(error))

    def acknowledge(self, path: Path) -> None:
        with self._lock:
            self._sent += 1
            self._acknowledged += 1
            self._on_outcome(FileOutcome(path, None, self._total))

    def result(self) -> SendResult:
        if self._error and not self._associations:
            raise self._error
        refused = sorted(self._refused, key=lambda one: one.path)
        return SendResult(self._sent, self._acknowledged, tuple(refused), self._associations)


def _groups(files: Sequence[SendableFile]) -> Iterator[list[SendableFile]]:
    """One group per study, more where a study needs more presentation contexts than an association has."""
    in_order = sorted(files, key=lambda one: (one.study_instance_uid, _context_of(one), one.path))
    for _, study in groupby(in_order, key=lambda one: one.study_instance_uid):
        group: list[SendableFile] = []
        contexts: set[tuple[str, str]] = set()
        for one in study:
            if len(contexts | {_context_of(one)}) > _MAXIMUM_CONTEXTS:
                yield group
                group, contexts = [], set()
            group.append(one)
            contexts.add(_context_of(one))
        yield group


def _context_of(one: SendableFile) -> tuple[str, str]:
    return one.sop_class_uid, one.transfer_syntax_uid


def _send_group(group: list[SendableFile], receiver: StorageReceiver, tally: _Tally) -> None:
    """Send a group; what a lost association left goes on a new one."""
    left = list(group)
    for attempt in range(_ATTEMPTS):
        try:
            association = _associate(left, receiver, attempt)
        except ServiceUnavailableError as error:
            tally.unreachable(left, error)
            return
        if association is None:
            continue
        tally.association()
        left = _send_all(left, association, tally)
        if not left:
            return
    for one in left:
        tally.refuse(one.path, "the receiver ended the association", sent=True)


def _associate(files: list[SendableFile], receiver: StorageReceiver, attempt: int) -> Association | None:
    """Open an association, or None when the receiver is full for now. Raises ServiceUnavailableError."""
    _config.STORE_SEND_CHUNKED_DATASET = True  # read from the file as it is, never decoded
    ae = AE(ae_title=receiver.calling_ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = _TIMEOUT_SECONDS
    ae.connection_timeout = 10
    contexts = [build_context(UID(sop), [UID(syntax)]) for sop, syntax in sorted({_context_of(one) for one in files})]
    association = ae.associate(
        receiver.host,
        receiver.port,
        contexts,
        ae_title=receiver.called_ae_title,
        max_pdu=0,
        evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)],
    )
    if association.is_established:
        return association
    place = f"{receiver.called_ae_title}@{receiver.host}:{receiver.port}"
    if association.is_rejected:
        answer: Any = association.acceptor.primitive
        if answer.result == 0x02 and attempt < _ATTEMPTS - 1:  # rejected-transient, PS3.8 table 9-21
            _pause(min(2.0**attempt, 8.0) * random.uniform(0.5, 1.5))  # not all senders at once again
            return None
        raise ServiceUnavailableError(f"{place} rejected the association: {answer.reason_str}")
    if association.acceptor.primitive is not None and not association.accepted_contexts:
        raise ServiceUnavailableError(f"{place} accepts none of the SOP classes and transfer syntaxes of the study")
    raise ServiceUnavailableError(f"no DICOM receiver answers at {place}")


def _pause(seconds: float) -> None:
    time.sleep(seconds)


def _send_at_once(event: evt.Event) -> None:
    """Without this, Nagle's algorithm delays the end of every message by 40 ms."""
    connection = event.assoc.dul.socket
    if connection and connection.socket:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _send_all(files: list[SendableFile], association: Association, tally: _Tally) -> list[SendableFile]:
    """Send each; returns those that the association did not live to see answered."""
    for number, one in enumerate(files):
        try:
            with _as_part10(one) as path:
                answer = association.send_c_store(path, msg_id=number % 0xFFFF + 1)
        except ValueError:  # pynetdicom: no presentation context was accepted for it
            tally.refuse(one.path, f"the receiver does not accept transfer syntax {one.transfer_syntax_uid}")
            continue
        except RuntimeError:  # pynetdicom: the association is not established any more
            return files[number:]
        except OSError as error:
            tally.refuse(one.path, f"cannot be read: {error.strerror or type(error).__name__}")
            continue
        if "Status" not in answer:
            return files[number:]
        _note(one, answer, tally)
    association.release()
    return []


def _note(one: SendableFile, answer: Dataset, tally: _Tally) -> None:
    status = int(answer.Status)
    if status == 0x0000 or status in _WARNINGS:
        tally.acknowledge(one.path)
    else:
        comment = str(answer.get("ErrorComment", "")).strip() or "no reason given"
        tally.refuse(one.path, f"status {status:04X}: {comment}", sent=True)


@contextmanager
def _as_part10(one: SendableFile) -> Iterator[Path]:
    """The file; or a copy with the right file meta information, from which pynetdicom takes the command's UIDs."""
    if one.meta_agrees:
        yield one.path
        return
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(one.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(one.sop_instance_uid)
    meta.TransferSyntaxUID = UID(one.transfer_syntax_uid)
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    with tempfile.NamedTemporaryFile(suffix=".dcm") as copy:
        copy.write(bytes(128) + b"DICM")
        write_file_meta_info(DicomFileLike(copy), meta)
        copy.write(one.path.read_bytes()[one.data_set_offset :])
        copy.flush()
        yield Path(copy.name)
