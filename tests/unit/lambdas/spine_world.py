from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from service_fakes import DATASTORE_ID, NOW, HealthImagingFake, SageMakerFake

from ahiflow import keys
from ahiflow.batch import BatchInstance, BatchManifest, Refusal
from ahiflow.ledger.store import Ledger
from ahiflow.spine.batches import BatchImporter
from ahiflow.spine.executions import ExecutionNoter, ExecutionStarter
from ahiflow.spine.imports import ImportRecorder
from ahiflow.spine.sweep import Sweep

INGEST, ARTIFACTS = "ingest-bucket", "artifacts-bucket"
BATCH_ID = "20261121T010203Z-0123456789abcdef"
IMAGE_SET_ID = "207284eef860ac01c4b2a8de27a6fc11"


@dataclass
class World:
    """S3 and the ledger on moto; HealthImaging and SageMaker as fakes; the spine composed as the functions do it."""

    s3: Any
    ledger: Ledger
    healthimaging: HealthImagingFake = field(default_factory=HealthImagingFake)
    sagemaker: SageMakerFake = field(default_factory=SageMakerFake)
    start_non_primary: bool = True

    @property
    def importer(self) -> BatchImporter:
        role = "arn:aws:iam::123456789012:role/import"
        return BatchImporter(self.s3, self.healthimaging.client, self.ledger, INGEST, ARTIFACTS, DATASTORE_ID, role)

    @property
    def recorder(self) -> ImportRecorder:
        return ImportRecorder(self.s3, self.healthimaging.client, self.ledger, INGEST, DATASTORE_ID)

    @property
    def starter(self) -> ExecutionStarter:
        return ExecutionStarter(
            self.sagemaker.client, self.ledger, DATASTORE_ID, "ahi-mlops-pipeline", self.start_non_primary
        )

    @property
    def noter(self) -> ExecutionNoter:
        return ExecutionNoter(self.sagemaker.client, self.s3, self.ledger, ARTIFACTS, "ahi-mlops-pipeline")

    @property
    def sweep(self) -> Sweep:
        return Sweep(self.importer, self.recorder, self.starter, self.noter, now=lambda: NOW)

    def put_batch(self, batch_id: str = BATCH_ID, instances: int = 3, studies: int = 1) -> BatchManifest:
        manifest = BatchManifest(
            batch_id=batch_id,
            association_id="a-1",
            calling_ae_title="SCANNER",
            called_ae_title="AHIFLOW",
            opened_at=NOW,
            closed_at=NOW,
            closed_because="released",
            prefix=keys.batch_prefix(batch_id),
            instances=tuple(_instance(batch_id, n, f"1.2.{n % studies}") for n in range(instances)),
            refusals=(Refusal(sop_instance_uid="1.9", status=0xC000, reason="not DICOM"),),
        )
        self.s3.put_object(Bucket=INGEST, Key=keys.batch_manifest_key(batch_id), Body=manifest.model_dump_json())
        return manifest

    def end_job(self, job_id: str, manifest: BatchManifest, fail: int = 0, *, folder_form: bool = False) -> None:
        """Complete a job as HealthImaging does: its first ``fail`` instances failed, the second last has a warning."""
        folder = f"{keys.IMPORTS}{DATASTORE_ID}-DicomImport-{job_id}/"
        uri = f"s3://{ARTIFACTS}/{folder}"
        good, bad = manifest.instances[fail:], manifest.instances[:fail]
        response = {"imageSetId": IMAGE_SET_ID, "imageSetVersion": 1, "isPrimary": True}
        warning = {"warning_reason_code": 45330, "type": "InvalidOffsetTable", "message": "..."}
        refused = {"exceptionType": "ValidationException", "message": "DICOM attributes does not exist"}
        for name, lines in {
            "SUCCESS/success.ndjson": [{"inputFile": i.key, "importResponse": response} for i in good[1:]],
            "WARNING/warning.ndjson": [
                {"inputFile": i.key, "importResponse": {**response, "warnings": [warning]}} for i in good[:1]
            ],
            "FAILURE/failure.ndjson": [{"inputFile": i.key, "exception": refused} for i in bad],
        }.items():
            if lines:
                body = "".join(json.dumps(line) + "\n" for line in lines)
                self.s3.put_object(Bucket=ARTIFACTS, Key=folder + name, Body=body)
        summary = {
            "jobId": job_id,
            "datastoreId": DATASTORE_ID,
            "outputS3Uri": uri,
            "successOutputS3Uri": uri + "SUCCESS/",
            "failureOutputS3Uri": uri + "FAILURE/",
            "warningsOutputS3Uri": uri + "WARNING/",
            "numberOfScannedFiles": len(manifest.instances),
            "numberOfImportedFiles": len(good),
            "numberOfFilesWithCustomerError": fail,
            "numberOfFilesWithServerError": 0,
            "numberOfGeneratedImageSets": 1 if good else 0,
            "imageSetsSummary": [{**response, "numberOfMatchedSOPInstances": len(good)}] if good else [],
        }
        body = json.dumps({"jobSummary": summary})
        self.s3.put_object(Bucket=ARTIFACTS, Key=folder + "job-output-manifest.json", Body=body)
        self.healthimaging.jobs[job_id] |= {"jobStatus": "COMPLETED", "endedAt": NOW}
        if folder_form:
            self.healthimaging.jobs[job_id]["outputS3Uri"] = uri


def _instance(batch_id: str, number: int, study_instance_uid: str) -> BatchInstance:
    uid = f"1.2.3.{number}"
    return BatchInstance(
        key=keys.instance_key(batch_id, uid),
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        study_instance_uid=study_instance_uid,
        series_instance_uid=f"{study_instance_uid}.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        size=1000,
        sha256="0" * 64,
    )
