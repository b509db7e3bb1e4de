"""The sender: which files, grouped how, and what is said when a receiver is full or will not take a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import CTImageStorage
from typer.testing import CliRunner

from ahiflow.cli import send as send_command
from ahiflow.dicom import sender
from ahiflow.dicom.sendable import SendableFile, find_files
from ahiflow.dicom.sender import FileOutcome, StorageReceiver, send_files
from ahiflow.errors import ConfigurationError, ServiceUnavailableError

Start = Callable[..., StorageReceiver]


def sendable(study: str, sop_class: str = "1.2", syntax: str = "1.3", name: str = "a") -> SendableFile:
    return SendableFile(Path(name), sop_class, "1.4", study, syntax, 0, True)


def uid_of(event: evt.Event) -> str:
    return str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]


def write_ct(path: Path, number: int, study: str = "1.2.3") -> Path:
    instance = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    instance.StudyInstanceUID = study
    instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = f"{study}.{number}"
    instance.save_as(path)
    return path


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts plain pynetdicom SCPs that answer as told."""
    servers: list[Any] = []

    def _start(on_store: Callable[[evt.Event], Any], *, limit: int = 10, contexts: Any = None) -> StorageReceiver:
        ae = AE(ae_title="SCP")
        ae.maximum_associations = limit
        for context in contexts or [CTImageStorage]:
            ae.add_supported_context(context)
        servers.append(ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)]))
        return StorageReceiver("127.0.0.1", servers[-1].server_address[1], "SCP")

    yield _start
    for server in servers:
        server.shutdown()


def test_folders_are_walked_without_what_is_no_image(tmp_path: Path) -> None:
    for name in ("a/1.dcm", "a/2", "b/notes.txt", "b/DICOMDIR", "labels.csv", ".hidden/3.dcm", ".4.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    named_twice = [tmp_path, tmp_path / "a", tmp_path / "a/1.dcm"]
    assert list(find_files(named_twice)) == [tmp_path / name for name in ("a/1.dcm", "a/2", "b/notes.txt")]
    named_by_a_person = tmp_path / "labels.csv"
    assert list(find_files([named_by_a_person])) == [named_by_a_person]


def test_a_study_is_one_association_unless_it_needs_too_many_contexts() -> None:
    files = [sendable("1", name=str(n)) for n in range(500)] + [sendable("2")]
    assert [len(group) for group in sender._groups(files)] == [500, 1]
    many = [sendable("1", sop_class=f"1.2.{n}") for n in range(300)]
    groups = list(sender._groups(many))
    assert [len({one.sop_class_uid for one in group}) for group in groups] == [128, 128, 44]


def test_a_refusal_carries_the_status_and_the_receivers_reason(start: Start, tmp_path: Path) -> None:
    def on_store(event: evt.Event) -> Any:
        answer = pydicom.Dataset()
        answer.Status = 0x0000 if uid_of(event).endswith(".1") else 0xA700
        answer.ErrorComment = "not stored"
        return answer

    files = [write_ct(tmp_path / f"{number}.dcm", number) for number in (1, 2)]
    said: list[FileOutcome] = []
    result = send_files(files, start(on_store), on_outcome=said.append)
    assert (result.sent, result.acknowledged, result.associations) == (2, 1, 1)
    assert [(one.path, one.reason) for one in result.refused] == [(files[1], "status A700: not stored")]
    assert {one.path: one.reason for one in said} == {files[0]: None, files[1]: "status A700: not stored"}


def test_what_an_aborted_association_left_is_sent_on_another(start: Start, tmp_path: Path) -> None:
    calls: list[str] = []

    def on_store(event: evt.Event) -> int:
        calls.append(uid_of(event))
        if len(calls) == 2:
            event.assoc.abort()
        return 0x0000

    files = [write_ct(tmp_path / f"{number}.dcm", number) for number in range(4)]
    result = send_files(files, start(on_store))
    assert (result.sent, result.acknowledged, result.refused, result.associations) == (4, 4, (), 2)
    assert set(calls) == {f"1.2.3.{number}" for number in range(4)}


def test_a_full_receiver_is_asked_again(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only place is taken: the study waits instead of failing."""
    receiver = start(lambda _: 0x0000, limit=1)
    other = AE().associate(receiver.host, receiver.port, [build_context(CTImageStorage)])
    assert other.is_established
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if other.is_established:
            other.release()
        deadline = time.monotonic() + 30
        while acceptors() and time.monotonic() < deadline:
            time.sleep(0.01)

    monkeypatch.setattr(sender, "_pause", pause)
    result = send_files([write_ct(tmp_path / "1.dcm", 1)], receiver)
    assert (result.acknowledged, result.refused, result.associations) == (1, (), 1)
    assert pauses


def acceptors() -> int:
    """How many associations are served in this process."""
    return sum(isinstance(one, Association) and one.is_acceptor for one in threading.enumerate())


def test_a_syntax_that_the_receiver_does_not_take_is_not_converted(start: Start, tmp_path: Path) -> None:
    jpeg = Path(str(get_testdata_file("693_J2KI.dcm")))
    plain = write_ct(tmp_path / "1.dcm", 1, str(pydicom.dcmread(jpeg, stop_before_pixels=True).StudyInstanceUID))
    result = send_files([jpeg, plain], start(lambda _: 0x0000))
    assert result.acknowledged == 1
    assert [one.path for one in result.refused] == [jpeg]
    assert "does not accept transfer syntax 1.2.840.10008.1.2.4.91" in result.refused[0].reason


def test_a_receiver_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailableError, match="no DICOM receiver answers"):
        send_files([write_ct(tmp_path / "1.dcm", 1)], StorageReceiver("127.0.0.1", 1, "SCP"))


def test_the_command_says_what_is_not_set() -> None:
    result = CliRunner().invoke(send_command.app, ["somewhere"])
    assert isinstance(result.exception, ConfigurationError)
    assert "AHIFLOW_DICOM_HOST is not set" in str(result.exception)
