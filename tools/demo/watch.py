"""Wait until the events have done their work, showing how far it is; a deadline instead of a hang."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ahiflow.errors import WorkFailedError
from tools.demo.evidence import Cloud, Json

POLL_SECONDS = 1.5
ENDED = ("Succeeded", "Failed", "Stopped")


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the chain is: instances that an ended import job accounted for, image sets, executions by state."""

    jobs_ended: int
    accounted: int
    image_set_versions: int
    executions: int
    executions_ended: int

    def is_complete(self, acknowledged: int) -> bool:
        """Every acknowledged instance is accounted for and every image set version's execution has ended."""
        return (
            self.accounted >= acknowledged
            and self.executions_ended == self.executions
            and self.executions >= self.image_set_versions
        )


class Watcher:
    """Asks the services how far the chain is; an ended import job is read once."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._scanned: dict[str, int] = {}

    def look(self) -> Progressed:
        """Ask once."""
        for job in self._cloud.ended_import_jobs():
            if job["jobId"] not in self._scanned:
                self._scanned[job["jobId"]] = self._files_of(job)
        statuses = self._cloud.statuses()
        return Progressed(
            jobs_ended=len(self._scanned),
            accounted=sum(self._scanned.values()),
            image_set_versions=sum(int(image_set["version"]) for image_set in self._cloud.image_sets()),
            executions=sum(statuses.values()),
            executions_ended=sum(statuses.get(status, 0) for status in ENDED),
        )

    def _files_of(self, job: Json) -> int:
        if job["jobStatus"] != "COMPLETED":
            return 0
        described = self._cloud.import_job(job["jobId"])
        return int(self._cloud.import_summary(described)["numberOfScannedFiles"])


def wait_for_chain(cloud: Cloud, console: Console, *, acknowledged: int, batches: int, deadline_seconds: float) -> None:
    """Wait until every acknowledged instance is imported or refused and every execution has ended.

    Raises WorkFailedError that says what was still missing at the deadline.
    """
    deadline = time.monotonic() + deadline_seconds
    watcher = Watcher(cloud)
    columns = (
        TextColumn("  {task.description:<22}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        imports = progress.add_task("import jobs", total=batches)
        instances = progress.add_task("instances imported", total=acknowledged)
        executions = progress.add_task("executions ended", total=None)
        last = ""
        while True:
            now = watcher.look()
            progress.update(imports, completed=now.jobs_ended)
            progress.update(instances, completed=now.accounted)
            progress.update(executions, completed=now.executions_ended, total=now.image_set_versions or None)
            line = (
                f"  import jobs {now.jobs_ended}/{batches}, instances {now.accounted}/{acknowledged}, "
                f"image set versions {now.image_set_versions}, executions {now.executions_ended}/{now.executions}"
            )
            if not console.is_terminal and line != last:
                console.print(line, highlight=False)
                last = line
            if now.is_complete(acknowledged):
                return
            if time.monotonic() > deadline:
                raise WorkFailedError(f"not finished after {deadline_seconds:.0f} s:{line}")
            time.sleep(POLL_SECONDS)


def wait_for_endpoint(cloud: Cloud, name: str, *, deadline_seconds: float) -> None:
    """Wait until the endpoint is InService. Raises WorkFailedError when it fails or the deadline passes."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        status = cloud.endpoint_status(name)
        if status == "InService":
            return
        if status == "Failed" or time.monotonic() > deadline:
            raise WorkFailedError(f"endpoint {name} is {status}, not InService")
        time.sleep(POLL_SECONDS / 5)
