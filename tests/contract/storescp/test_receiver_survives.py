"""What a sender was told is true, whatever happens: aborts, lost connections, S3 away, SIGTERM, SIGKILL."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import CTImageStorage, MRImageStorage
from receiver_process import Bucket, Receiver, answers, free_port, wait_for

STUDY = "1.2.3"
Start = Callable[..., Receiver]


def connect(receiver: Receiver) -> Association:
    ae = AE(ae_title="SENDER")
    for sop_class in (CTImageStorage, MRImageStorage, "1.2.826.0.1.3680043.9.9999.1"):
        ae.add_requested_context(sop_class)
    # pynetdicom's default order begins with implicit VR little endian, and the receiver takes the first.
    association = ae.associate("127.0.0.1", receiver.port, ae_title="AHIFLOW")
    assert association.is_established
    return association


def ct(number: int) -> Dataset:
    instance = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    instance.StudyInstanceUID = STUDY
    instance.SOPInstanceUID = instance.file_meta.MediaStorageSOPInstanceUID = f"{STUDY}.{number}"
    return instance


def store(association: Association, instance: Dataset) -> int:
    return int(association.send_c_store(instance).Status)


def acknowledged_and_stored(bucket: Bucket, numbers: range) -> None:
    manifest = bucket.one_manifest()
    assert {one.sop_instance_uid for one in manifest.instances} == {f"{STUDY}.{number}" for number in numbers}
    assert set(bucket.keys("instances/")) == {one.key for one in manifest.instances}


def test_an_abort_half_way_closes_the_batch(receiver: Receiver, bucket: Bucket) -> None:
    association = connect(receiver)
    assert [store(association, ct(number)) for number in range(3)] == [0, 0, 0]
    association.abort()
    acknowledged_and_stored(bucket, range(3))
    assert bucket.one_manifest().closed_because == "aborted"


def test_a_lost_connection_closes_the_batch(receiver: Receiver, bucket: Bucket) -> None:
    association = connect(receiver)
    assert store(association, ct(0)) == 0
    association.dul.socket.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
    acknowledged_and_stored(bucket, range(1))
    assert bucket.one_manifest().closed_because == "aborted"


def test_a_silent_sender_loses_its_association_and_no_instance(start: Start, bucket: Bucket) -> None:
    association = connect(start(IDLE_TIMEOUT_SECONDS="1"))
    assert store(association, ct(0)) == 0
    acknowledged_and_stored(bucket, range(1))
    association.abort()


def test_refusals_have_their_status_and_are_listed(receiver: Receiver, bucket: Bucket) -> None:
    association = connect(receiver)
    no_study = ct(1)
    del no_study.StudyInstanceUID
    assert store(association, no_study) == 0xC000
    assert store(association, ct(2)) == 0
    answers = []
    for number, change in ((3, {"SOPInstanceUID": "9.9.9"}), (4, {"SOPClassUID": MRImageStorage})):
        answers.append(store_as_other(association, ct(number), change))
    assert answers == [0xA900, 0xA900]
    association.release()
    manifest = bucket.one_manifest()
    assert [one.sop_instance_uid for one in manifest.instances] == [f"{STUDY}.2"]
    assert [refusal.status for refusal in manifest.refusals] == [0xC000, 0xA900, 0xA900]
    assert manifest.refusals[0].reason == "the data set lacks StudyInstanceUID"
    assert {refusal.sop_instance_uid for refusal in manifest.refusals} == {f"{STUDY}.{n}" for n in (1, 3, 4)}


def store_as_other(association: Association, instance: Dataset, change: dict[str, Any]) -> int:
    """C-STORE with the UIDs of ``instance`` in the command and others in the data set."""
    names = instance.SOPClassUID, instance.SOPInstanceUID
    for keyword, value in change.items():
        setattr(instance, keyword, value)
    return store_bytes(association, *names, encoded(instance))


def encoded(instance: Dataset) -> bytes:
    return encode(instance, is_implicit_vr=True, is_little_endian=True) or b""


def store_bytes(association: Association, sop_class_uid: str, sop_instance_uid: str, data: bytes) -> int:
    """C-STORE of any bytes, which pynetdicom's own send_c_store would not send."""
    request = C_STORE()
    request.MessageID, request.Priority = 7, 2
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class_uid, sop_instance_uid
    request.DataSet = BytesIO(data)
    context = next(cx for cx in association.accepted_contexts if cx.abstract_syntax == sop_class_uid)
    assert context.transfer_syntax == [ImplicitVRLittleEndian]
    association._reactor_checkpoint.clear()
    association.dimse.send_msg(request, context.context_id or 0)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return int(answer.Status)  # type: ignore[union-attr,arg-type]


def test_a_truncated_data_set_is_refused_and_the_rest_goes_on(receiver: Receiver, bucket: Bucket) -> None:
    association = connect(receiver)
    assert store(association, ct(1)) == 0
    assert store_bytes(association, CTImageStorage, f"{STUDY}.2", encoded(ct(2))[:-100]) == 0xC000
    assert store_bytes(association, CTImageStorage, f"{STUDY}.3", b"\x01not DICOM at all") == 0xC000
    assert store(association, ct(4)) == 0
    association.release()
    manifest = bucket.one_manifest()
    assert {one.sop_instance_uid for one in manifest.instances} == {f"{STUDY}.1", f"{STUDY}.4"}
    assert len(manifest.refusals) == 2
    assert receiver.terminate() == 0
    assert "CompressedSamples" not in receiver.output  # the patient's name


def test_an_unknown_private_sop_class_is_accepted(receiver: Receiver, bucket: Bucket) -> None:
    association = connect(receiver)
    instance = ct(1)
    instance.SOPClassUID = instance.file_meta.MediaStorageSOPClassUID = UID("1.2.826.0.1.3680043.9.9999.1")
    assert store(association, instance) == 0
    association.release()
    assert bucket.one_manifest().instances[0].sop_class_uid == "1.2.826.0.1.3680043.9.9999.1"


def test_sigterm_lets_open_associations_finish(start: Start, bucket: Bucket) -> None:
    receiver = start()
    association = connect(receiver)
    assert store(association, ct(0)) == 0
    receiver.process.terminate()
    wait_for(lambda: receiver.said("stopping"), "the receiver to begin to stop")
    wait_for(lambda: not answers(receiver.port), "new connections to be refused")
    assert store(association, ct(1)) == 0
    association.release()
    assert receiver.process.wait(timeout=30) == 0
    acknowledged_and_stored(bucket, range(2))
    assert bucket.one_manifest().closed_because == "released"


def test_sigterm_does_not_wait_for_ever(start: Start, bucket: Bucket) -> None:
    receiver = start(STOP_TIMEOUT_SECONDS="2")
    association = connect(receiver)
    assert store(association, ct(0)) == 0
    assert receiver.terminate() == 0
    acknowledged_and_stored(bucket, range(1))
    association.abort()


def test_after_a_crash_the_next_start_closes_the_batch(start: Start, bucket: Bucket) -> None:
    receiver = start()
    association = connect(receiver)
    assert [store(association, ct(number)) for number in range(3)] == [0, 0, 0]
    receiver.kill()
    association.abort()
    assert bucket.manifests() == []
    start(port=receiver.port)
    acknowledged_and_stored(bucket, range(3))
    manifest = bucket.one_manifest()
    assert (manifest.closed_because, manifest.calling_ae_title) == ("recovered", "SENDER")
    assert all(one.size == len(bucket.body(one.key)) for one in manifest.instances)


def test_the_open_batch_of_another_receiver_is_left_alone(start: Start, bucket: Bucket) -> None:
    association = connect(start())
    assert store(association, ct(0)) == 0
    other = start()
    second = connect(other)
    assert store(second, ct(1)) == 0
    second.release()
    assert bucket.one_manifest().instances[0].sop_instance_uid == f"{STUDY}.1"
    association.release()
    wait_for(lambda: len(bucket.manifests()) == 2, "the first receiver's own manifest")


class Switch:
    """An S3 that can be switched off: a proxy that answers 503 while ``off``."""

    def __init__(self, target: str) -> None:
        self.off = False
        self.target = target.removeprefix("http://")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _handler(switch) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if switch.off:
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                backend = http.client.HTTPConnection(switch.target)
                backend.request(self.command, self.path, body, dict(self.headers))
                answer = backend.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_PUT = do_GET = do_HEAD = _forward

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def switch(s3_endpoint: str) -> Iterator[Switch]:
    switch = Switch(s3_endpoint)
    yield switch
    switch.server.shutdown()


def test_no_success_while_s3_is_away(start: Start, bucket: Bucket, switch: Switch) -> None:
    """The sender hears A700, sends again, and the manifest tells both."""
    association = connect(start(endpoint=switch.endpoint))
    assert store(association, ct(0)) == 0
    switch.off = True
    assert store(association, ct(1)) == 0xA700
    switch.off = False
    assert store(association, ct(1)) == 0
    association.release()
    acknowledged_and_stored(bucket, range(2))
    assert [(one.sop_instance_uid, one.status) for one in bucket.one_manifest().refusals] == [(f"{STUDY}.1", 0xA700)]


def test_a_manifest_that_cannot_be_written_is_written_later(start: Start, bucket: Bucket, switch: Switch) -> None:
    receiver = start(endpoint=switch.endpoint)
    association = connect(receiver)
    assert store(association, ct(0)) == 0
    switch.off = True
    association.release()
    wait_for(lambda: receiver.said("batch manifest waits"), "the first try to fail")
    assert bucket.manifests() == []
    switch.off = False
    acknowledged_and_stored(bucket, range(1))
    assert bucket.one_manifest().closed_because == "released"


def test_without_settings_it_does_not_start(bucket: Bucket) -> None:
    receiver = Receiver(bucket, free_port(), bucket.endpoint, IDLE_TIMEOUT_SECONDS="soon")
    assert receiver.process.wait(timeout=30) == 2
    wait_for(lambda: "IDLE_TIMEOUT_SECONDS" in receiver.output, "the reason")


def test_a_port_in_use_is_said_plainly(receiver: Receiver, bucket: Bucket) -> None:
    second = Receiver(bucket, receiver.port, bucket.endpoint)
    assert second.process.wait(timeout=30) == 2
    wait_for(lambda: "cannot listen on port" in second.output, "the reason")
