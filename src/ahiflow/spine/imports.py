"""From an ended import job to what became of every instance (docs/architecture.md, "The chain", step 3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ahiflow.aws_errors import translated
from ahiflow.batch import BatchInstance, BatchManifest
from ahiflow.errors import MalformedMetadataError, NotFoundError, NotYetConsistentError
from ahiflow.ledger.schema import MAXIMUM_FAILURES, ImportFailure, ImportJobItem, StudyImageSetItem
from ahiflow.ledger.store import Ledger
from ahiflow.ledger.transitions import IMPORT_JOB_ENDED, BatchStatus
from ahiflow.spine.batches import parse_import_job_name, read_batch_manifest
from ahiflow.spine.import_output import ImportOutput, job_folder, read_import_output
from ahiflow.spine.service_calls import cut


@dataclass(frozen=True, slots=True)
class ImportRecorder:
    """Writes what an ended import job did to the ledger. The clients are boto3's ``s3`` and ``medical-imaging``."""

    s3: Any
    medical_imaging: Any
    ledger: Ledger
    ingest_bucket_name: str
    datastore_id: str

    def record(self, import_job_id: str) -> ImportJobItem:
        """Record an ended job; again is harmless. Returns what the ledger holds of it.

        Raises NotYetConsistentError while the job or its output is not there yet. A job that ahiflow did not start has
        no batch: its counts are kept, its image sets are found by their own events.
        """
        with translated(f"import job {import_job_id}"):
            job = self.medical_imaging.get_dicom_import_job(datastoreId=self.datastore_id, jobId=import_job_id)[
                "jobProperties"
            ]
        if job["jobStatus"] not in IMPORT_JOB_ENDED:
            raise NotYetConsistentError(f"import job {import_job_id} has not ended yet")
        ours = parse_import_job_name(job["jobName"])
        manifest = self._manifest(ours[0]) if ours else None
        item = ImportJobItem(
            import_job_id=import_job_id,
            status=job["jobStatus"],
            batch_id=manifest.batch_id if manifest else None,
            attempt=ours[1] if ours else 1,
            submitted_at=job.get("submittedAt"),
            ended_at=job.get("endedAt"),
            reason=cut(job["message"]) if job.get("message") else None,
        )
        if item.status == "FAILED":
            return self._conclude(item, manifest)
        output = read_import_output(self.s3, job_folder(job["outputS3Uri"], self.datastore_id, import_job_id))
        if manifest:
            for image_set in self._study_image_sets(output, manifest, import_job_id):
                self.ledger.note_study_image_set(image_set)
        return self._conclude(_with_output(item, output, manifest), manifest)

    def _manifest(self, batch_id: str) -> BatchManifest | None:
        try:
            return read_batch_manifest(self.s3, self.ingest_bucket_name, batch_id)
        except NotFoundError:
            return None  # a job with such a name that somebody else started

    def _conclude(self, item: ImportJobItem, manifest: BatchManifest | None) -> ImportJobItem:
        """Write the job, then its batch, then nothing: the batch's status says that all before it is there."""
        noted = self.ledger.note_import_job(item)
        if manifest:
            self.ledger.note_batch(manifest)
            self.ledger.move_batch(
                manifest.batch_id,
                _batch_status(item),
                attempt=item.attempt,
                import_job_id=item.import_job_id,
                reason=_batch_reason(item),
            )
        return noted

    def _study_image_sets(
        self, output: ImportOutput, manifest: BatchManifest, import_job_id: str
    ) -> list[StudyImageSetItem]:
        by_key = _by_key(manifest)
        parts: dict[tuple[str, str], list[BatchInstance]] = {}
        for key, image_set_id in output.imported.items():
            if key in by_key:
                parts.setdefault((by_key[key].study_instance_uid, image_set_id), []).append(by_key[key])
        summaries = {summary.image_set_id: summary for summary in output.summary.image_sets}
        items = []
        for (study_instance_uid, image_set_id), instances in sorted(parts.items(), key=lambda part: part[0]):
            if image_set_id not in summaries:
                raise MalformedMetadataError(f"the output of import job {import_job_id} does not list an image set")
            summary = summaries[image_set_id]
            items.append(
                StudyImageSetItem(
                    study_instance_uid=study_instance_uid,
                    image_set_id=image_set_id,
                    image_set_version_id=summary.image_set_version_id,
                    series_instance_uids=tuple(sorted({instance.series_instance_uid for instance in instances})),
                    instances=len(instances),
                    is_primary=summary.is_primary,
                    batch_id=manifest.batch_id,
                    import_job_id=import_job_id,
                )
            )
        return items


def _with_output(item: ImportJobItem, output: ImportOutput, manifest: BatchManifest | None) -> ImportJobItem:
    by_key = _by_key(manifest) if manifest else {}
    reasons = dict(output.failures)
    for key in by_key.keys() - output.imported.keys() - output.failures.keys():
        reasons[key] = "the import job says nothing about this instance"
    failures = [
        ImportFailure(
            sop_instance_uid=by_key[key].sop_instance_uid if key in by_key else key.rpartition("/")[2],
            study_instance_uid=by_key[key].study_instance_uid if key in by_key else "",
            reason=cut(reason),
        )
        for key, reason in sorted(reasons.items())
    ]
    return item.with_changes(
        scanned=output.summary.scanned,
        imported=output.summary.imported,
        failed=len(failures),
        image_sets=len(output.summary.image_sets),
        failures=tuple(failures[:MAXIMUM_FAILURES]),
        warnings=dict(sorted(Counter(kind for kinds in output.warnings.values() for kind in kinds).items())),
    )


def _by_key(manifest: BatchManifest) -> Mapping[str, BatchInstance]:
    return {instance.key: instance for instance in manifest.instances}


def _batch_status(item: ImportJobItem) -> BatchStatus:
    if item.status == "FAILED" or not item.imported:
        return "import-failed"
    return "partly-imported" if item.failed else "imported"


def _batch_reason(item: ImportJobItem) -> str | None:
    if item.status == "FAILED":
        return item.reason or "the import job failed and gave no reason"
    if not item.failed:
        return None
    most_common = Counter(failure.reason for failure in item.failures).most_common(1)[0][0]
    return cut(f"{item.failed} of {item.failed + item.imported} instances were not imported, most often: {most_common}")
