"""One received instance: its facts, and its Part 10 form, whose data set is byte for byte what the sender sent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import cast

from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event

from ahiflow.batch import IMPORT_MAXIMUM_FILE_BYTES, BatchInstance
from ahiflow.dicom.data_set import InstanceFacts, identify
from ahiflow.dicom.encoding import read_file_meta
from ahiflow.errors import UnreadableInstanceError


class MismatchedInstanceError(UnreadableInstanceError):
    """The data set is of another SOP class or instance than the command says (PS3.7 §9.1.1.1)."""


@dataclass(frozen=True, slots=True)
class Instance:
    """``body`` is a Part 10 file (PS3.10 §7.1): preamble, file meta information, the data set as sent."""

    facts: InstanceFacts
    transfer_syntax_uid: str
    body: bytes = field(repr=False)
    sha256: str

    def stored_at(self, key: str) -> BatchInstance:
        """The instance's line in a batch manifest."""
        return BatchInstance(
            key=key,
            sop_instance_uid=self.facts.sop_instance_uid,
            sop_class_uid=self.facts.sop_class_uid,
            study_instance_uid=self.facts.study_instance_uid,
            series_instance_uid=self.facts.series_instance_uid,
            transfer_syntax_uid=self.transfer_syntax_uid,
            modality=self.facts.modality,
            size=len(self.body),
            sha256=self.sha256,
        )


def store_request(event: Event) -> C_STORE:
    """The request of an EVT_C_STORE event, whose type pynetdicom leaves open."""
    return cast(C_STORE, event.request)


def from_store_request(event: Event) -> Instance:
    """Take the instance from an EVT_C_STORE event.

    Raises MismatchedInstanceError, or UnreadableInstanceError when HealthImaging could not import it.
    """
    request = store_request(event)
    transfer_syntax_uid = str(event.context.transfer_syntax)
    if request.DataSet is None:
        raise UnreadableInstanceError("the data set is empty")
    facts = identify(request.DataSet.getbuffer(), transfer_syntax_uid)
    if facts.sop_class_uid != request.AffectedSOPClassUID:
        raise MismatchedInstanceError("the data set is of another SOP class than the command")
    if facts.sop_instance_uid != request.AffectedSOPInstanceUID:
        raise MismatchedInstanceError("the data set is of another SOP instance than the command")
    body = event.encoded_dataset()
    if len(body) > IMPORT_MAXIMUM_FILE_BYTES:
        raise UnreadableInstanceError("the instance is larger than an import job takes")
    return Instance(facts, transfer_syntax_uid, body, hashlib.sha256(body).hexdigest())


def from_part10(body: bytes) -> Instance:
    """Take the instance from a stored object. Raises UnreadableInstanceError."""
    meta = read_file_meta(body)
    facts = identify(memoryview(body)[meta.data_set_offset :], meta.transfer_syntax_uid)
    return Instance(facts, meta.transfer_syntax_uid, body, hashlib.sha256(body).hexdigest())
