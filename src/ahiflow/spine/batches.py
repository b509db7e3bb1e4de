"""From a closed batch to its import job (docs/architecture.md, "The chain", step 2).

The job's name carries the batch id, and the attempt if it is not the first: it is the only free text that HealthImaging
gives back (shape JobName: 1-64 of ``[A-Za-z0-9._/#-]``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ahiflow import keys
from ahiflow.aws_errors import translated
from ahiflow.batch import BatchManifest
from ahiflow.errors import ConfigurationError, InvalidRequestError, PermanentError
from ahiflow.idempotency import derive_token
from ahiflow.identifiers import parse_batch_id
from ahiflow.ledger.schema import BatchItem, ImportJobItem
from ahiflow.ledger.store import Ledger
from ahiflow.s3uri import S3Uri
from ahiflow.spine.service_calls import quotas_pass


@dataclass(frozen=True, slots=True)
class BatchImporter:
    """Starts the import job of a batch. The clients are boto3's ``s3`` and ``medical-imaging``."""

    s3: Any
    medical_imaging: Any
    ledger: Ledger
    ingest_bucket_name: str
    artifacts_bucket_name: str
    datastore_id: str
    import_role_arn: str

    def start(self, batch_id: str, attempt: int = 1) -> BatchItem:
        """Note the batch and start its import job, unless this attempt has one already; returns what the ledger holds.

        A batch with refusals only needs no job. Raises TransientError when the same call may succeed later; a
        PermanentError is in the ledger, with its reason, before it is raised.
        """
        try:
            manifest = read_batch_manifest(self.s3, self.ingest_bucket_name, batch_id)
        except InvalidRequestError as error:
            self.ledger.move_batch(batch_id, "unreadable", reason=str(error))
            raise
        noted = self.ledger.note_batch(manifest)
        if noted.attempt > attempt or (noted.attempt == attempt and noted.status not in ("closed", "import-refused")):
            return noted
        if not manifest.instances:
            return self.ledger.move_batch(batch_id, "nothing-to-import", reason="no instance was acknowledged")
        try:
            import_job_id = self._start_job(manifest, attempt)
        except PermanentError as error:
            self.ledger.move_batch(batch_id, "import-refused", attempt=attempt, reason=str(error))
            raise
        self.ledger.note_import_job(
            ImportJobItem(import_job_id=import_job_id, status="SUBMITTED", batch_id=batch_id, attempt=attempt)
        )
        return self.ledger.move_batch(batch_id, "import-started", attempt=attempt, import_job_id=import_job_id)

    def _start_job(self, manifest: BatchManifest, attempt: int) -> str:
        again = () if attempt == 1 else (str(attempt),)
        with quotas_pass(f"the import of batch {manifest.batch_id}"):
            answer = self.medical_imaging.start_dicom_import_job(
                datastoreId=self.datastore_id,
                jobName=import_job_name(manifest.batch_id, attempt),
                dataAccessRoleArn=self.import_role_arn,
                clientToken=derive_token("start-import", manifest.batch_id, *again),
                inputS3Uri=str(S3Uri(self.ingest_bucket_name, manifest.prefix)),
                outputS3Uri=str(S3Uri(self.artifacts_bucket_name, keys.IMPORTS)),
            )
        return str(answer["jobId"])


def import_job_name(batch_id: str, attempt: int) -> str:
    """``<batch id>``, or ``<batch id>#<attempt>`` from the second on."""
    return batch_id if attempt == 1 else f"{batch_id}#{attempt}"


def parse_import_job_name(name: str) -> tuple[str, int] | None:
    """The batch id and attempt in an import job's name; None if the job is not ours."""
    batch_id, separator, attempt = name.partition("#")
    if separator and not (attempt.isascii() and attempt.isdigit()):
        return None
    try:
        return parse_batch_id(batch_id), int(attempt or 1)
    except ConfigurationError:
        return None


def batch_id_of_manifest(key: str) -> str:
    """The batch id in the key of a batch manifest. Raises InvalidRequestError."""
    try:
        batch_id = parse_batch_id(key.removeprefix(keys.BATCHES).removesuffix(".json"))
    except ConfigurationError as error:
        raise InvalidRequestError(f"not the key of a batch manifest: {key!r}") from error
    if key != keys.batch_manifest_key(batch_id):
        raise InvalidRequestError(f"not the key of a batch manifest: {key!r}")
    return batch_id


def read_batch_manifest(s3: Any, ingest_bucket_name: str, batch_id: str) -> BatchManifest:
    """Read a batch manifest. Raises NotFoundError if it does not exist, InvalidRequestError if it breaks its schema."""
    with translated(f"the manifest of batch {batch_id}"):
        body = s3.get_object(Bucket=ingest_bucket_name, Key=keys.batch_manifest_key(batch_id))["Body"].read()
    try:
        manifest = BatchManifest.model_validate_json(body)
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in detail["loc"]) for detail in error.errors(include_input=False)})
        raise InvalidRequestError(
            f"the manifest of batch {batch_id} breaks its schema at {', '.join(fields)}"
        ) from None
    if manifest.batch_id != batch_id:
        raise InvalidRequestError(f"the manifest of batch {batch_id} names another batch")
    return manifest
