"""Killed at the worst moment, the emulator loses nothing, shows nothing half, and says what it had not said."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from healthimaging_support import health_imaging, series, wait_for

ROOT = Path(__file__).parents[3]


def kill_while(state: Path, files: Path, where: str) -> tuple[str, str]:
    """Run an import in a process of its own and ``kill -9`` it once it stalls; the data store and job ids."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("import_in_a_process.py")), str(state), str(files), where],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdout is not None
    lines = {line.strip() for line in (process.stdout.readline(), process.stdout.readline())}
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    assert "STALLED" in lines
    (ids,) = lines - {"STALLED"}
    store, job_id = ids.split()
    return store, job_id


@pytest.mark.parametrize("where", ["reading", "announcing"])
def test_kill_9(tmp_path: Path, s3: Any, where: str) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for name, data in series(6).items():
        (files / name).write_bytes(data)
    state = tmp_path / "state"
    store, job_id = kill_while(state, files, where)

    with sqlite3.connect(state / "healthimaging.sqlite3") as database:
        visible = database.execute("SELECT count(*) FROM image_sets").fetchone()[0]
        status = database.execute("SELECT status FROM jobs").fetchone()[0]
    assert (status, visible) == (("IN_PROGRESS", 0) if where == "reading" else ("COMPLETED", 1))

    for path in files.iterdir():
        s3.put_object(Bucket="ingest", Key=f"a/{path.name}", Body=path.read_bytes())
    with health_imaging(state, s3) as ahi:
        assert ahi.ended(store, job_id)["jobStatus"] == "COMPLETED"
        wait_for(lambda: "Import Job Completed" in ahi.event_types(), "the completed event")
        assert "Image Set Created" in ahi.event_types()
        (summary,) = ahi.api.search_image_sets(datastoreId=store)["imageSetsMetadataSummaries"]
        assert (summary["version"], summary["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"]) == (1, 6)

    with sqlite3.connect(state / "healthimaging.sqlite3") as database:
        known = {row[0] for row in database.execute("SELECT path FROM frames")}
        known |= {row[0] for row in database.execute("SELECT metadata_path FROM versions")}
        assert database.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    on_disk = {str(path.relative_to(state)) for path in (state / "jobs").rglob("*") if path.is_file()}
    assert on_disk == known


def test_events_wait_for_a_bus_that_is_away(tmp_path: Path, s3: Any) -> None:
    taken: list[str] = []
    refusals = iter([True, True])

    def emit(**event: Any) -> None:
        if next(refusals, False):
            raise ConnectionError("no bus")
        taken.append(event["detail_type"])

    with health_imaging(tmp_path, s3, emit=emit) as ahi:
        ahi.datastore()
        wait_for(lambda: len(taken) == 2, "both events")
    assert taken == ["Data Store Creating", "Data Store Created"]


def test_closed_in_the_middle_a_job_is_finished_by_the_next_process(tmp_path: Path, s3: Any) -> None:
    read: list[str] = []

    class CountingS3:
        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def get_object(self, **parameters: Any) -> Any:
            read.append(parameters["Key"])
            return s3.get_object(**parameters)

    with health_imaging(tmp_path, CountingS3()) as ahi:
        store = ahi.datastore()
        ahi.put("a/", series(60))
        job_id = ahi.start_import(store, "a/")
        wait_for(lambda: len(read) >= 3, "the import to begin")
    with health_imaging(tmp_path, s3) as ahi:
        assert ahi.ended(store, job_id)["jobStatus"] == "COMPLETED"
        (summary,) = ahi.api.search_image_sets(datastoreId=store)["imageSetsMetadataSummaries"]
        assert (summary["version"], summary["DICOMTags"]["DICOMNumberOfStudyRelatedInstances"]) == (1, 60)
