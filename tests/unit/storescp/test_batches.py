"""Batches: what one import job takes, complete and once, whatever happens on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from ahiflow.batch import BatchManifest
from ahiflow.dicom.data_set import InstanceFacts
from ahiflow.errors import ServiceUnavailableError
from ahiflow.identifiers import parse_batch_id
from storescp.batches import Association, AssociationBatches, BatchLimits, new_batch_id
from storescp.instance import Instance


class MemorySink:
    """An InstanceSink that keeps everything, and can be away."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.facts: dict[str, Mapping[str, str]] = {}
        self.away = False

    def put_instance(self, key: str, body: bytes, sha256: str, facts: Mapping[str, str]) -> None:
        if self.away:
            raise ServiceUnavailableError("away")
        assert hashlib.sha256(body).hexdigest() == sha256
        self.objects[key], self.facts[key] = body, facts

    def put_manifest(self, batch_id: str, body: bytes) -> None:
        raise AssertionError("the writer does that")


def instance(uid: str, size: int = 10) -> Instance:
    body = uid.encode().ljust(size, b"\0")
    facts = InstanceFacts("1.2.840.10008.5.1.4.1.1.2", uid, "1.2.3", "1.2.3.4", "CT")
    return Instance(facts, "1.2.840.10008.1.2.1", body, hashlib.sha256(body).hexdigest())


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def written() -> list[BatchManifest]:
    return []


def association(
    sink: MemorySink, written: list[BatchManifest], limits: BatchLimits | None = None
) -> AssociationBatches:
    facts = Association("0011223344556677", "SENDER", "AHIFLOW", "host:11112", "aabb")
    return AssociationBatches(facts, sink, written.append, limits or BatchLimits())


def check(manifest: BatchManifest, sink: MemorySink) -> None:
    """A manifest names exactly what was stored for it."""
    assert parse_batch_id(manifest.batch_id) == manifest.batch_id
    assert {one.key for one in manifest.instances} == {key for key in sink.objects if key.startswith(manifest.prefix)}
    for one in manifest.instances:
        assert (one.size, one.sha256) == (len(sink.objects[one.key]), hashlib.sha256(sink.objects[one.key]).hexdigest())


def test_a_batch_is_split_at_the_files_of_an_import_job(sink: MemorySink, written: list[BatchManifest]) -> None:
    batches = association(sink, written, BatchLimits(files=3))
    for number in range(8):
        batches.store(instance(f"1.{number}"))
    batches.close("released")
    assert [len(manifest.instances) for manifest in written] == [3, 3, 2]
    assert [manifest.closed_because for manifest in written] == ["limit", "limit", "released"]
    for manifest in written:
        check(manifest, sink)


def test_a_batch_is_split_at_the_bytes_of_an_import_job(sink: MemorySink, written: list[BatchManifest]) -> None:
    batches = association(sink, written, BatchLimits(bytes=100))
    for number, size in enumerate((60, 40, 5, 95, 50)):
        batches.store(instance(f"1.{number}", size))
    batches.close("aborted")
    assert [[one.size for one in manifest.instances] for manifest in written] == [[60, 40], [5, 95], [50]]


def test_the_limits_are_those_of_healthimaging() -> None:
    assert (BatchLimits().files, BatchLimits().bytes) == (5_000, 10_000_000_000)


def test_nothing_is_written_for_an_association_that_brought_nothing(
    sink: MemorySink, written: list[BatchManifest]
) -> None:
    batches = association(sink, written)
    batches.close("released")
    batches.close("aborted")
    assert written == []


def test_refusals_alone_make_a_manifest(sink: MemorySink, written: list[BatchManifest]) -> None:
    batches = association(sink, written)
    batches.refuse("1.2", 0xC000, "the data set is empty")
    batches.close("released")
    assert [(refusal.status, refusal.reason) for refusal in written[0].refusals] == [(0xC000, "the data set is empty")]
    assert written[0].instances == ()


def test_an_instance_sent_twice_is_kept_twice(sink: MemorySink, written: list[BatchManifest]) -> None:
    batches = association(sink, written)
    for size in (10, 11, 12):
        batches.store(instance("1.2", size))
    batches.close("released")
    assert [one.key.rpartition("/")[2] for one in written[0].instances] == ["1.2.dcm", "1.2.1.dcm", "1.2.2.dcm"]
    check(written[0], sink)


def test_a_try_that_failed_takes_the_same_key_again(sink: MemorySink, written: list[BatchManifest]) -> None:
    """The failed try may have been stored after all: it must not become a second instance."""
    batches = association(sink, written)
    sink.away = True
    with pytest.raises(ServiceUnavailableError):
        batches.store(instance("1.2"))
    sink.away = False
    batches.store(instance("1.2"))
    batches.close("released")
    assert [one.key.rpartition("/")[2] for one in written[0].instances] == ["1.2.dcm"]


def test_nothing_but_failed_tries_is_no_batch(sink: MemorySink, written: list[BatchManifest]) -> None:
    batches = association(sink, written)
    sink.away = True
    with pytest.raises(ServiceUnavailableError):
        batches.store(instance("1.2"))
    batches.close("aborted")
    assert written == []


def test_a_quiet_batch_is_closed_and_the_next_instance_opens_another(
    sink: MemorySink, written: list[BatchManifest]
) -> None:
    batches = association(sink, written, BatchLimits(quiet_seconds=0))
    batches.store(instance("1.1"))
    batches.close_if_quiet()
    batches.store(instance("1.2"))
    batches.close("released")
    assert [manifest.closed_because for manifest in written] == ["quiet", "released"]
    assert written[0].batch_id != written[1].batch_id
    patient = association(sink, written, BatchLimits(quiet_seconds=3600))
    patient.store(instance("1.3"))
    patient.close_if_quiet()
    assert len(written) == 2


def test_each_object_says_whose_it_is(sink: MemorySink, written: list[BatchManifest]) -> None:
    """What the recovery after a crash needs, in ASCII."""
    batches = association(sink, written)
    batches.store(instance("1.1"))
    (facts,) = sink.facts.values()
    assert (facts["receiver"], facts["process"], facts["calling-ae-title"]) == ("host:11112", "aabb", "SENDER")
    assert all(value.isascii() for value in facts.values())


def test_batch_ids_sort_by_time() -> None:
    moments = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2, 30)]
    ids = [new_batch_id(moment) for moment in moments]
    assert ids == sorted(ids)
    assert new_batch_id(moments[0]) != ids[0]
