"""Promise 4: events may come twice, late and out of order; the ledger ends the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ahiflow.batch import BatchInstance, BatchManifest
from ahiflow.ledger import changes, transitions
from ahiflow.ledger.schema import BatchItem, ExecutionItem, ImportJobItem, Item

BATCH_ID = "20261121T010203Z-0123456789abcdef"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
Notice = Callable[[Any], Item]


def manifest() -> BatchManifest:
    instance = BatchInstance(
        key="k",
        sop_instance_uid="1.3",
        sop_class_uid="1.4",
        study_instance_uid="1.2",
        series_instance_uid="1.2.1",
        transfer_syntax_uid="1.5",
        modality="CT",
        size=1,
        sha256="0",
    )
    return BatchManifest(
        batch_id=BATCH_ID,
        association_id="a",
        calling_ae_title="A",
        called_ae_title="B",
        opened_at=NOW,
        closed_at=NOW,
        closed_because="released",
        prefix="p/",
        instances=(instance,),
    )


def moved(status: Any, attempt: int = 1, **more: Any) -> Notice:
    wanted = BatchItem(batch_id=BATCH_ID, status=status, attempt=attempt, **more)
    return lambda now: changes.moved_batch(now, wanted)


def executed(status: Any, attempt: int = 1, **more: Any) -> Notice:
    wanted = ExecutionItem(image_set_id="i", image_set_version_id="1", status=status, attempt=attempt, **more)
    return lambda now: changes.execution(now, wanted)


def imported(status: Any, **more: Any) -> Notice:
    wanted = ImportJobItem(import_job_id="j", status=status, batch_id=BATCH_ID, **more)
    return lambda now: changes.import_job(now, wanted)


ENDED = {"pipeline_execution_arn": "arn:1", "started_at": NOW, "ended_at": NOW}
# Every notice that a life can bring; the first one that is last in its own order decides what the ledger must hold.
LIVES: dict[str, Sequence[Notice]] = {
    "batch that is imported": [
        lambda now: changes.batch(now, manifest()),
        moved("import-refused", reason="a role that did not exist yet"),
        moved("import-started", import_job_id="j1"),
        moved("imported", import_job_id="j1"),
    ],
    "batch that is imported at the second attempt": [
        lambda now: changes.batch(now, manifest()),
        moved("import-started", import_job_id="j1"),
        moved("import-failed", import_job_id="j1", reason="FILE_COUNTS_LIMIT"),
        moved("import-started", attempt=2, import_job_id="j2"),
        moved("partly-imported", attempt=2, import_job_id="j2", reason="1 of 2"),
    ],
    "import job": [imported("SUBMITTED"), imported("IN_PROGRESS"), imported("COMPLETED", imported=3)],
    "execution that succeeds": [
        executed("claimed"),
        executed("refused", reason="no such pipeline"),
        executed("Executing", pipeline_execution_arn="arn:1"),
        executed("Succeeded", **ENDED, reason="no training after CurateDataset"),
    ],
    "execution that succeeds at the second attempt": [
        executed("claimed"),
        executed("Executing", pipeline_execution_arn="arn:0"),
        executed("Failed", pipeline_execution_arn="arn:0", ended_at=NOW, reason="frame 3"),
        executed("claimed", attempt=2),
        executed("Executing", attempt=2, pipeline_execution_arn="arn:1"),
        executed("Succeeded", attempt=2, **ENDED),
    ],
    "execution that is stopped": [executed("claimed"), executed("Stopping"), executed("Stopped", **ENDED)],
}


def told(notices: Sequence[Notice]) -> Item | None:
    item: Item | None = None
    for notice in notices:
        item = notice(item)
    return item


@pytest.mark.parametrize("life", LIVES)
@given(data=st.data())
def test_any_order_and_any_duplication_ends_the_same(life: str, data: st.DataObject) -> None:
    notices = LIVES[life]
    extra = data.draw(st.lists(st.sampled_from(range(len(notices))), max_size=6))
    order = data.draw(st.permutations([*range(len(notices)), *extra]))
    assert told([notices[index] for index in order]) == told(notices)


@pytest.mark.parametrize("life", LIVES)
def test_what_is_lost_but_the_last_notice_changes_no_status(life: str) -> None:
    notices = LIVES[life]
    whole: Any = told(notices)
    for kept in itertools.chain.from_iterable(itertools.combinations(notices[:-1], n) for n in range(len(notices))):
        partly: Any = told([*kept, notices[-1]])
        assert (partly.status, getattr(partly, "attempt", 1)) == (whole.status, getattr(whole, "attempt", 1))


@pytest.mark.parametrize(
    "table", [transitions.BATCH, transitions.IMPORT_JOB, transitions.EXECUTION], ids=["batch", "job", "execution"]
)
def test_within_an_attempt_there_is_no_way_back(table: dict[str, frozenset[str]]) -> None:
    for status, following in table.items():
        assert following <= table.keys()
        for next_status in following:
            assert status not in table[next_status]
            assert table[next_status] <= following | {next_status}, f"{status} -> {next_status} leads to something new"
