"""What events did not bring, found (docs/architecture.md, "The chain", step 7).

The same sweep rebuilds an empty ledger: what exists already is adopted (import jobs and executions by the name we gave
them) before anything is started, so that a token that a service has forgotten starts nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from ahiflow import keys
from ahiflow.aws_errors import translated
from ahiflow.errors import AhiflowError, InvalidRequestError
from ahiflow.ledger.schema import BatchItem, ExecutionItem, ImportJobItem, StudyImageSetItem
from ahiflow.ledger.store import Ledger, utc_now
from ahiflow.ledger.transitions import EXECUTION_ENDED, IMPORT_JOB_ENDED
from ahiflow.spine.batches import (
    BatchImporter,
    batch_id_of_manifest,
    parse_import_job_name,
    read_batch_manifest,
)
from ahiflow.spine.executions import ExecutionNoter, ExecutionStarter
from ahiflow.spine.imports import ImportRecorder

# How far back a sweep looks. What is older and unfinished has waited through more than 2,000 sweeps: it needs a person.
# An empty ledger is rebuilt from the beginning.
WINDOW: Final = timedelta(days=7)


@dataclass(slots=True)
class SweepReport:
    """What a sweep did. ``problems`` are one-line reasons of work that could not be done; the rest went on."""

    adopted: int = 0
    imports_started: int = 0
    imports_recorded: int = 0
    executions_started: int = 0
    executions_noted: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep over S3, HealthImaging, SageMaker and the ledger."""

    importer: BatchImporter
    recorder: ImportRecorder
    starter: ExecutionStarter
    noter: ExecutionNoter
    now: Callable[[], datetime] = utc_now

    @property
    def ledger(self) -> Ledger:
        """The ledger that all four write."""
        return self.importer.ledger

    def run(self, *, everything: bool = False) -> SweepReport:
        """Find and do what is missing within WINDOW, or at all. Raises only what makes the whole sweep impossible."""
        report = SweepReport()
        since = None if everything or self.ledger.knows_no_batch() else self.now() - WINDOW
        self._batches(report, since)
        self._ended_jobs(report, since)
        self._executions(report, since)
        self._missing_executions(report, since)
        return report

    def _batches(self, report: SweepReport, since: datetime | None) -> None:
        """Manifests that the ledger does not know, and batches that have no import job."""
        waiting = []
        for batch_id in self._stored_batches(since):
            known = self.ledger.batch(batch_id)
            if known is None or known.status == "closed":
                waiting.append(batch_id)
        if not waiting:
            return
        jobs = self._jobs_of_batches()
        for batch_id in waiting:
            with _counted(report):
                if batch_id in jobs:
                    self._adopt_job(jobs[batch_id])
                    report.adopted += 1
                else:
                    self.importer.start(batch_id)
                    report.imports_started += 1

    def _stored_batches(self, since: datetime | None) -> Iterator[str]:
        start_after = {"StartAfter": f"{keys.BATCHES}{since:%Y%m%dT%H%M%SZ}"} if since else {}
        pages = self.importer.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.importer.ingest_bucket_name, Prefix=keys.BATCHES, **start_after
        )
        with translated(f"the batch manifests in {self.importer.ingest_bucket_name}"):
            found = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        for key in found:
            try:
                yield batch_id_of_manifest(key)
            except InvalidRequestError:
                continue  # not written by the receiver; its event, if any, was refused with a reason

    def _jobs_of_batches(self) -> dict[str, ImportJobItem]:
        """The newest attempt of every batch that has an import job (ListDICOMImportJobs goes back 90 days)."""
        newest: dict[str, ImportJobItem] = {}
        pages = self.importer.medical_imaging.get_paginator("list_dicom_import_jobs").paginate(
            datastoreId=self.importer.datastore_id
        )
        with translated(f"the import jobs of data store {self.importer.datastore_id}"):
            jobs = [job for page in pages for job in page["jobSummaries"]]
        for job in jobs:
            ours = parse_import_job_name(job["jobName"])
            if ours and (ours[0] not in newest or newest[ours[0]].attempt < ours[1]):
                newest[ours[0]] = ImportJobItem(
                    import_job_id=job["jobId"],
                    status="SUBMITTED",
                    batch_id=ours[0],
                    attempt=ours[1],
                    submitted_at=job.get("submittedAt"),
                )
        return newest

    def _adopt_job(self, job: ImportJobItem) -> None:
        batch_id = str(job.batch_id)
        manifest = read_batch_manifest(self.importer.s3, self.importer.ingest_bucket_name, batch_id)
        self.ledger.note_batch(manifest)
        self.ledger.note_import_job(job)
        self.ledger.move_batch(batch_id, "import-started", attempt=job.attempt, import_job_id=job.import_job_id)

    def _ended_jobs(self, report: SweepReport, since: datetime | None) -> None:
        for batch in list(self.ledger.items(BatchItem, since)):
            if batch.status == "import-started" and batch.import_job_id and self._has_ended(batch.import_job_id):
                with _counted(report):
                    self.recorder.record(batch.import_job_id)
                    report.imports_recorded += 1

    def _has_ended(self, import_job_id: str) -> bool:
        with translated(f"import job {import_job_id}"):
            job = self.importer.medical_imaging.get_dicom_import_job(
                datastoreId=self.importer.datastore_id, jobId=import_job_id
            )
        return job["jobProperties"]["jobStatus"] in IMPORT_JOB_ENDED

    def _executions(self, report: SweepReport, since: datetime | None) -> None:
        """Executions that the ledger does not know, and ends that it does not know."""
        for arn, listed in list(self.noter.listed(since)):
            known = self.ledger.execution(listed.image_set_id, listed.image_set_version_id)
            if known is None or known.attempt < listed.attempt or _is_behind(known, listed):
                with _counted(report):
                    self.noter.note(arn)
                    report.executions_noted += 1

    def _missing_executions(self, report: SweepReport, since: datetime | None) -> None:
        for image_set in list(self.ledger.items(StudyImageSetItem, since)):
            held = self.ledger.execution(image_set.image_set_id, image_set.image_set_version_id)
            if held is None or held.status == "claimed":
                with _counted(report):
                    attempt = held.attempt if held else 1
                    self.starter.start(
                        image_set.image_set_id, image_set.image_set_version_id, image_set.is_primary, attempt
                    )
                    report.executions_started += 1


def _is_behind(known: ExecutionItem, listed: ExecutionItem) -> bool:
    if known.attempt != listed.attempt:
        return False
    return known.pipeline_execution_arn is None or (
        listed.status in EXECUTION_ENDED and known.status not in EXECUTION_ENDED
    )


@contextmanager
def _counted(report: SweepReport) -> Iterator[None]:
    """Let the sweep go on after work that could not be done; its reason is in the report."""
    try:
        yield
    except AhiflowError as error:
        report.problems.append(str(error))
