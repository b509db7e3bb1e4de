"""The ledger's table and its items (docs/architecture.md, "Ledger table").

The ledger is derived: everything in it can be read again from S3, HealthImaging and SageMaker. It holds UIDs, counts
and reasons, and no other patient attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict

from ahiflow.ledger.transitions import BatchStatus, DeploymentStatus, ExecutionStatus, ImportJobStatus

INDEX_BY_KIND: Final = "by-kind"

# The arguments of CreateTable but its name; the local cloud's bootstrap and the CDK app read this.
TABLE: Final[Mapping[str, Any]] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
        {"AttributeName": "kind", "AttributeType": "S"},
        {"AttributeName": "updated_at", "AttributeType": "S"},
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": INDEX_BY_KIND,
            "KeySchema": [
                {"AttributeName": "kind", "KeyType": "HASH"},
                {"AttributeName": "updated_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}

# An item may hold 400 KB (DynamoDB quota). 500 failures with two UIDs and a reason are below half of that.
MAXIMUM_FAILURES: Final = 500
MAXIMUM_REASON_CHARACTERS: Final = 300


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Item(_Frozen):
    """One item. ``pk`` and ``sk`` follow from the fields; ``kind`` names the class in the index."""

    kind: ClassVar[str]

    @property
    def key(self) -> tuple[str, str]:
        """``(pk, sk)``."""
        raise NotImplementedError

    def with_changes(self, **changes: Any) -> Self:
        """A copy with other values for some fields, validated."""
        return type(self).model_validate({**self.model_dump(), **changes})


class RefusalCount(_Frozen):
    """How many instances of a batch were refused with one DIMSE status and reason."""

    status: int
    reason: str
    instances: int


class BatchItem(Item):
    """One closed batch. ``attempt`` counts import jobs for it; without a readable manifest the facts are None."""

    kind: ClassVar[str] = "batch"

    batch_id: str
    status: BatchStatus
    attempt: int = 1
    import_job_id: str | None = None
    reason: str | None = None
    association_id: str | None = None
    calling_ae_title: str | None = None
    called_ae_title: str | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    closed_because: str | None = None
    instances: int = 0
    total_bytes: int = 0
    refusals: tuple[RefusalCount, ...] = ()
    study_instance_uids: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """``(pk, sk)``."""
        return batch_key(self.batch_id)


class SeriesCount(_Frozen):
    """Instances of one series in a batch."""

    series_instance_uid: str
    modality: str
    instances: int


class StudyBatchItem(Item):
    """What one batch brought of one study."""

    kind: ClassVar[str] = "study-batch"

    study_instance_uid: str
    batch_id: str
    instances: int
    series: tuple[SeriesCount, ...]

    @property
    def key(self) -> tuple[str, str]:
        """``(pk, sk)``."""
        return (study_pk(self.study_instance_uid), f"BATCH#{self.batch_id}")


class StudyImageSetItem(Item):
    """One image set version that holds instances of a study, as one import job reported it."""

    kind: ClassVar[str] = "study-image-set"

    study_instance_uid: str
    image_set_id: str
    image_set_version_id: str
    series_instance_uids: tuple[str, ...]
    instances: int
    is_primary: bool | None
    batch_id: str
    import_job_id: str

    @property
    def key(self) -> tuple[str, str]:
        """``(pk, sk)``."""
        return (study_pk(self.study_instance_uid), f"IMAGESET#{self.image_set_id}#{self.image_set_version_id}")


class ImportFailure(_Frozen):
    """One instance that an import job did not import. ``reason`` is HealthImaging's text, cut."""

    sop_instance_uid: str
    study_instance_uid: str
    reason: str


class ImportJobItem(Item):
    """One import job. ``status`` is the service's own word; ``batch_id`` is None for a job that ahiflow did not start.

    ``failures`` holds the first MAXIMUM_FAILURES; ``failed`` counts all. ``warnings`` counts by the service's type.
    """

    kind: ClassVar[str] = "import-job"

    import_job_id: str
    status: ImportJobStatus
    batch_id: str | None
    attempt: int = 1
    submitted_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    scanned: int = 0
    imported: int = 0
    failed: int = 0
    image_sets: int = 0
    failures: tuple[ImportFailure, ...] = ()
    warnings: Mapping[str, int] = {}

    @property
    def key(self) -> tuple[str, str]:
        """``(pk, sk)``."""
        return import_job_key(self.import_job_id)


class StepSummary(_Frozen):
    """One step of an ended execution: the service's status, and why it failed."""

    name: str
    status: str
    reason: str | None = None


class ExecutionItem(Item):
    """The one execution of an image set version. ``attempt`` counts restarts by a person (`ahiflow replay`)."""

    kind: ClassVar[str] = "execution"

    image_set_id: str
    image_set_version_id: str
    status: ExecutionStatus
    attempt: int = 1
    pipeline_execution_arn: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    steps: tuple[StepSummary, ...] = ()
    model_package_arn: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """``(pk, sk)``."""
        return execution_key(self.image_set_id, self.image_set_version_id)


class DeploymentItem(Item):
    """What became of an approved model package. ``attempt`` counts deployments of it."""

    kind: ClassVar[str] = "deployment"

    model_package_arn: str
    status: DeploymentStatus
    attempt: int = 1
    endpoint_name: str | None = None
    reason: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """``(pk, sk)``."""
        return deployment_key(self.model_package_arn)


def batch_key(batch_id: str) -> tuple[str, str]:
    """Key of a BatchItem."""
    return (f"BATCH#{batch_id}", "BATCH")


def study_pk(study_instance_uid: str) -> str:
    """Partition of everything about a study."""
    return f"STUDY#{study_instance_uid}"


def import_job_key(import_job_id: str) -> tuple[str, str]:
    """Key of an ImportJobItem."""
    return (f"IMPORT#{import_job_id}", "IMPORT")


def execution_key(image_set_id: str, image_set_version_id: str) -> tuple[str, str]:
    """Key of an ExecutionItem."""
    return (f"IMAGESET#{image_set_id}#{image_set_version_id}", "EXECUTION")


def deployment_key(model_package_arn: str) -> tuple[str, str]:
    """Key of a DeploymentItem."""
    return (f"MODEL#{model_package_arn}", "DEPLOYMENT")
