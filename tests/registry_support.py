"""A model package with an artefact and a report, on moto's S3, KMS and SageMaker."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from ahiflow.approvals import Approvals, Decision, SignedDecision, record_decision
from ahiflow.registry import ModelPackage, Registry

BUCKET = "artifacts"
GROUP = "ahi-models"


def archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@dataclass
class World:
    s3: Any
    kms: Any
    sagemaker: Any
    key_id: str
    seconds: int = 0

    @property
    def registry(self) -> Registry:
        return Registry(self.sagemaker, GROUP)

    @property
    def approvals(self) -> Approvals:
        return Approvals(self.s3, self.kms, BUCKET, self.key_id, self._tick)

    def _tick(self) -> datetime:
        self.seconds += 1
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def register(self, weights: bytes = b"weights") -> ModelPackage:
        version = len(self.registry.versions()) + 1
        key = f"executions/{version}/model.tar.gz"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=archive({"model/weights.pt": weights}))
        report = f"executions/{version}/evaluation.json"
        metrics = {"binary_classification_metrics": {"roc_auc": {"value": 0.9}}}
        self.s3.put_object(Bucket=BUCKET, Key=report, Body=json.dumps(metrics).encode())
        made = self.sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                "Containers": [{"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/{key}"}],
                "SupportedContentTypes": ["application/json"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            ModelMetrics={
                "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": f"s3://{BUCKET}/{report}"}}
            },
        )
        return self.registry.describe(made["ModelPackageArn"])

    def decide(self, package: ModelPackage, decision: Decision = "approve") -> SignedDecision:
        signed = self.approvals.sign_decision(package, decision, "Dr. Example", "metrics reviewed")
        record_decision(self.sagemaker, signed)
        return signed

    def again(self, package: ModelPackage) -> ModelPackage:
        return self.registry.describe(package.arn)

    def overwrite(self, key: str, change: tuple[bytes, bytes]) -> None:
        body = self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert change[0] in body
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body.replace(*change))


def make_world() -> World:
    s3, kms, sagemaker = (boto3.client(name, region_name="us-east-1") for name in ("s3", "kms", "sagemaker"))
    s3.create_bucket(Bucket=BUCKET)
    sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    key = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    return World(s3, kms, sagemaker, key["KeyMetadata"]["KeyId"])
