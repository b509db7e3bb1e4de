from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from localcloud_fixtures import until
from moto import mock_aws

from localcloud.healthimaging.service import HealthImagingService
from localcloud.healthimaging.switches import Switches
from localcloud.standalone import serve_alone

INGEST, ARTIFACTS, SECRET = "ingest", "artifacts", "ahiflow/pseudonym-key"
_SWITCHES = Switches(datastore_creating_seconds=0, job_submitted_seconds=0, warned_files_in_success=True)


@dataclass
class Services:
    """The HealthImaging emulator over HTTP, with moto's S3 and Secrets Manager; all as boto3 clients."""

    medical_imaging: Any
    s3: Any
    secrets: Any
    emulator: HealthImagingService

    def client(self, service: str, **_: Any) -> Any:
        """In place of ``ahiflow.aws.client``."""
        return {"medical-imaging": self.medical_imaging, "s3": self.s3, "secretsmanager": self.secrets}[service]

    def datastore(self) -> str:
        datastore_id: str = self.medical_imaging.create_datastore(datastoreName="tests")["datastoreId"]
        until(lambda: self._is_active(datastore_id), "data store ACTIVE")
        return datastore_id

    def _is_active(self, datastore_id: str) -> bool:
        answer = self.medical_imaging.get_datastore(datastoreId=datastore_id)
        return bool(answer["datastoreProperties"]["datastoreStatus"] == "ACTIVE")

    def import_files(self, datastore_id: str, files: Mapping[str, bytes]) -> dict[str, list[str]]:
        """Import to the end; which files went into which image set."""
        prefix = f"{datastore_id}/"
        for name, content in files.items():
            self.s3.put_object(Bucket=INGEST, Key=prefix + name, Body=content)
        job_id = self.medical_imaging.start_dicom_import_job(
            datastoreId=datastore_id,
            dataAccessRoleArn="arn:aws:iam::123456789012:role/import",
            inputS3Uri=f"s3://{INGEST}/{prefix}",
            outputS3Uri=f"s3://{ARTIFACTS}/imports/",
        )["jobId"]
        job = until(lambda: self._ended(datastore_id, job_id), "the import's end", 120)
        assert job["jobStatus"] == "COMPLETED", job
        folder = job["outputS3Uri"].removeprefix(f"s3://{ARTIFACTS}/")
        imported = defaultdict(list)
        body = self.s3.get_object(Bucket=ARTIFACTS, Key=f"{folder}SUCCESS/success.ndjson")["Body"].read()
        for line in body.splitlines():
            entry = json.loads(line)
            imported[entry["importResponse"]["imageSetId"]].append(entry["inputFile"].removeprefix(prefix))
        return dict(imported)

    def _ended(self, datastore_id: str, job_id: str) -> dict[str, Any] | None:
        answer = self.medical_imaging.get_dicom_import_job(datastoreId=datastore_id, jobId=job_id)
        job: dict[str, Any] = answer["jobProperties"]
        return job if job["jobStatus"] in ("COMPLETED", "FAILED") else None


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with mock_aws():
        s3, secrets = boto3.client("s3"), boto3.client("secretsmanager")
        for bucket in (INGEST, ARTIFACTS):
            s3.create_bucket(Bucket=bucket)
        secrets.create_secret(Name=SECRET, SecretString="the key of the contract tests, 32 bytes")
        built: list[HealthImagingService] = []

        def build(backplane: Any) -> HealthImagingService:
            built.append(HealthImagingService(backplane, _SWITCHES))
            return built[0]

        with serve_alone(build, tmp_path / "state", aws=lambda name: s3, emit=lambda **event: None) as url:
            api = boto3.client(
                "medical-imaging", endpoint_url=url, config=Config(inject_host_prefix=False, max_pool_connections=32)
            )
            yield Services(api, s3, secrets, built[0])
