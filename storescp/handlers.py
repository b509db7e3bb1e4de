"""Answers to what peers send: pynetdicom calls these from the association's own thread."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Callable

from aws_lambda_powertools import Logger
from pydicom.dataset import Dataset
from pynetdicom.events import Event

from ahiflow.errors import AhiflowError, UnreadableInstanceError
from storescp import instance, status
from storescp.batches import Association, AssociationBatches, ClosedBecause

NewBatches = Callable[[Association], AssociationBatches]
_ERROR_COMMENT_LENGTH = 64  # LO, PS3.7 Annex C


class Handlers:
    """The receiver's open associations and what happens to them."""

    def __init__(self, new_batches: NewBatches, receiver: str, process: str, log: Logger) -> None:
        self._new_batches = new_batches
        self._receiver = receiver
        self._process = process
        self._log = log
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, AssociationBatches] = {}

    def on_connection(self, event: Event) -> None:
        """Answer small responses at once: without this, Nagle's algorithm holds each back for 40 ms."""
        connection = event.assoc.dul.socket
        if connection and connection.socket:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def on_store(self, event: Event) -> Dataset:
        """Answer one C-STORE request (PS3.7 §9.1.1; statuses PS3.4 Annex B.2.3).

        Success is returned only after S3 confirmed the object: it tells the sender that it may delete its own copy.
        """
        batches = self._batches_of(event.assoc)
        try:
            batches.store(instance.from_store_request(event))
        except instance.MismatchedInstanceError as error:
            return self._refuse(batches, event, status.DATA_SET_DOES_NOT_MATCH, error.reason)
        except UnreadableInstanceError as error:
            return self._refuse(batches, event, status.CANNOT_UNDERSTAND, error.reason)
        except AhiflowError as error:
            return self._refuse(batches, event, status.OUT_OF_RESOURCES, f"not stored: {error}")
        answer = Dataset()
        answer.Status = status.SUCCESS
        return answer

    def on_released(self, event: Event) -> None:
        """Close the batch of an association that ended as it should."""
        self._end(event.assoc, "released")

    def on_aborted(self, event: Event) -> None:
        """Close the batch of an association that was aborted or whose connection was lost."""
        self._end(event.assoc, "aborted")

    def sweep(self) -> None:
        """Close what no event closed: associations whose thread is gone, and batches that are quiet."""
        with self._lock:
            found = list(self._open.items())
        for thread, batches in found:
            if thread.is_alive():
                batches.close_if_quiet()
            else:
                self._end(thread, "aborted")

    def _batches_of(self, thread: threading.Thread) -> AssociationBatches:
        with self._lock:
            if thread not in self._open:
                self._open[thread] = self._new_batches(self._association(thread))
            return self._open[thread]

    def _association(self, thread: threading.Thread) -> Association:
        return Association(
            association_id=secrets.token_hex(8),
            calling_ae_title=_printable(thread.requestor.ae_title),  # type: ignore[attr-defined]
            called_ae_title=_printable(thread.requestor.primitive.called_ae_title),  # type: ignore[attr-defined]
            receiver=self._receiver,
            process=self._process,
        )

    def _end(self, thread: threading.Thread, because: ClosedBecause) -> None:
        batches = self._open.get(thread)
        if batches:
            batches.close(because)  # before it is forgotten: if this fails, the sweep comes again
            with self._lock:
                self._open.pop(thread, None)

    def _refuse(self, batches: AssociationBatches, event: Event, code: int, reason: str) -> Dataset:
        batches.refuse(str(instance.store_request(event).AffectedSOPInstanceUID), code, reason)
        self._log.warning(
            "instance refused",
            association_id=batches.association.association_id,
            batch_id=batches.batch_id,
            status=f"{code:04X}",
            reason=reason,
        )
        answer = Dataset()
        answer.Status = code
        answer.ErrorComment = reason[:_ERROR_COMMENT_LENGTH]
        return answer


def _printable(ae_title: str) -> str:
    """An AE title as object metadata takes it: ASCII without control characters."""
    return "".join(c if " " <= c <= "~" else "?" for c in ae_title).strip()
