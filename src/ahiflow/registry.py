"""The model registry, read: versions of one model package group (SageMaker API, DescribeModelPackage)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from ahiflow.aws_errors import translated
from ahiflow.errors import ConfigurationError, InvalidRequestError, NotFoundError
from ahiflow.s3uri import S3Uri

LATEST: Final = "latest"
_ARN_PREFIX: Final = "arn:"


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """One version. ``model_data`` is its model.tar.gz, ``evaluation_report`` its model-quality report, if any."""

    arn: str
    group: str
    version: int
    status: str
    approval_status: str
    approval_description: str
    created_at: datetime
    model_data: S3Uri
    evaluation_report: S3Uri | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Registry:
    """One model package group. ``sagemaker`` is a boto3 client."""

    sagemaker: Any
    group: str

    def versions(self) -> list[dict[str, Any]]:
        """Summaries of all versions (shape ModelPackageSummary), newest first."""
        with translated(f"model package group {self.group}"):
            pages = self.sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=self.group)
            found = [summary for page in pages for summary in page["ModelPackageSummaryList"]]
        return sorted(found, key=lambda summary: -int(summary["ModelPackageVersion"]))

    def find(self, reference: str) -> ModelPackage:
        """A version by ARN, by number, or ``latest``. Raises NotFoundError or ConfigurationError that names it."""
        if reference.startswith(_ARN_PREFIX):
            return self.describe(reference)
        if reference != LATEST and not reference.isdecimal():
            raise ConfigurationError(f"neither a model package ARN nor a version number nor `latest`: {reference!r}")
        versions = self.versions()
        if reference != LATEST:
            versions = [one for one in versions if int(one["ModelPackageVersion"]) == int(reference)]
        if not versions:
            missing = "model" if reference == LATEST else f"version {reference!r}"
            raise NotFoundError(f"model package group {self.group} has no {missing} yet: see `ahiflow models list`")
        return self.describe(versions[0]["ModelPackageArn"])

    def describe(self, arn: str) -> ModelPackage:
        """A version by its ARN. Raises NotFoundError when there is none in this group."""
        try:
            with translated(f"model package {arn}"):
                document = self.sagemaker.describe_model_package(ModelPackageName=arn)
        except InvalidRequestError as error:  # the service has no code of its own for what does not exist
            raise NotFoundError(f"no such model package: {arn}") from error
        if document.get("ModelPackageGroupName") != self.group:
            raise NotFoundError(f"{arn} is not of model package group {self.group}")
        return _package(document)


def _package(document: Mapping[str, Any]) -> ModelPackage:
    containers = document.get("InferenceSpecification", {}).get("Containers", [])
    if len(containers) != 1 or not containers[0].get("ModelDataUrl"):
        raise InvalidRequestError(f"{document['ModelPackageArn']} has no single container with a ModelDataUrl")
    report = document.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri")
    return ModelPackage(
        arn=document["ModelPackageArn"],
        group=document["ModelPackageGroupName"],
        version=int(document["ModelPackageVersion"]),
        status=document["ModelPackageStatus"],
        approval_status=document.get("ModelApprovalStatus", ""),
        approval_description=document.get("ApprovalDescription", ""),
        created_at=document["CreationTime"],
        model_data=S3Uri.parse(containers[0]["ModelDataUrl"]),
        evaluation_report=S3Uri.parse(report) if report else None,
        metadata=dict(document.get("CustomerMetadataProperties", {})),
    )
