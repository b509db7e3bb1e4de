"""The batch manifest: what one association (or a part of one) brought, written last by the receiver.

Schema version 1. It lies in the ingest bucket, holds UIDs and technical facts, and no other patient attribute.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

BATCH_MANIFEST_VERSION = 1

# Limits of one import job: shapes and quotas of AWS HealthImaging, "endpoints-quotas".
IMPORT_MAXIMUM_FILES = 5_000
IMPORT_MAXIMUM_BYTES = 10 * 1000**3
IMPORT_MAXIMUM_FILE_BYTES = 4 * 1000**3


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchInstance(_Frozen):
    """One acknowledged instance. ``sha256`` and ``size`` are of the stored Part 10 object."""

    key: str
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    size: int
    sha256: str


class Refusal(_Frozen):
    """One instance that was not acknowledged. ``status`` is the DIMSE status (PS3.4 Annex B.2.3)."""

    sop_instance_uid: str
    status: int
    reason: str


class BatchManifest(_Frozen):
    """A closed batch. Immutable: an import job reads ``prefix`` whole and can be retried."""

    schema_version: Literal[1] = 1
    batch_id: str
    association_id: str
    calling_ae_title: str
    called_ae_title: str
    opened_at: datetime
    closed_at: datetime
    closed_because: Literal["released", "aborted", "limit", "quiet", "recovered"]
    prefix: str
    instances: tuple[BatchInstance, ...]
    refusals: tuple[Refusal, ...] = ()
