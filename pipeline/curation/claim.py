"""Which execution trains on which dataset: one document, changed by compare-and-swap only.

Of many concurrent executions exactly one gets a dataset. A claim does not bind for ever: when its execution Failed or
was Stopped without having trained, the claim is void and the next execution may take it over.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ahiflow import keys
from ahiflow.dataset import DatasetManifest, parse_manifest
from ahiflow.errors import DatasetError
from ahiflow.labels import canonical_json
from ahiflow.object_store import ObjectStore
from ahiflow.pipeline_contract import DATASET_MANIFEST_FILE, EVALUATION_FILE, OUTPUT_EVALUATION


class Claim(BaseModel):
    """``datasets/current.json``. ``base_dataset_sha256`` is the dataset trained on before this claim."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    dataset_sha256: str
    execution_arn: str
    claimed_at: datetime
    base_dataset_sha256: str | None

    @property
    def execution_id(self) -> str:
        """Last part of the execution's ARN."""
        return self.execution_arn.rsplit("/", 1)[-1]


class Standing(enum.Enum):
    """How a claim stands."""

    OURS = "it is this execution's own claim"
    TRAINING = "another execution is training on it"
    TRAINED = "it was trained on"
    REJECTED = "it was trained on, and the quality gate rejected the model"
    VOID = "its execution ended without training"


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """A claim as read, with the ETag that a takeover compares, and how it stands."""

    claim: Claim
    etag: str
    standing: Standing

    @property
    def base_dataset_sha256(self) -> str | None:
        """The dataset that counts as trained on."""
        void = self.standing is Standing.VOID
        return self.claim.base_dataset_sha256 if void else self.claim.dataset_sha256


class Claims:
    """Reads and takes the claim. ``execution_status`` answers SageMaker's PipelineExecutionStatus, None if unknown."""

    def __init__(self, store: ObjectStore, execution_arn: str, execution_status: Callable[[str], str | None]) -> None:
        self._store = store
        self._execution_arn = execution_arn
        self._execution_status = execution_status

    def current(self) -> HeldClaim | None:
        """The claim in force, or None when there never was one."""
        document = self._store.find(keys.CURRENT_DATASET)
        if document is None:
            return None
        try:
            claim = Claim.model_validate_json(document.body)
        except ValidationError as error:
            raise DatasetError(f"{keys.CURRENT_DATASET} was not written by this version") from error
        return HeldClaim(claim, document.etag, self._standing(claim))

    def take(self, dataset_sha256: str, held: HeldClaim | None) -> bool:
        """Claim a dataset, if nobody else has changed the claim since ``held`` was read; whether it is ours now."""
        claim = Claim(
            dataset_sha256=dataset_sha256,
            execution_arn=self._execution_arn,
            claimed_at=datetime.now(UTC),
            base_dataset_sha256=held.base_dataset_sha256 if held else None,
        )
        body = canonical_json(claim.model_dump(mode="json"))
        if held is None:
            return self._store.create(keys.CURRENT_DATASET, body)
        return self._store.replace(keys.CURRENT_DATASET, body, held.etag)

    def _standing(self, claim: Claim) -> Standing:
        if claim.execution_arn == self._execution_arn:
            return Standing.OURS
        status = self._execution_status(claim.execution_arn)
        if status == "Succeeded":
            return Standing.TRAINED
        if status in ("Executing", "Stopping"):
            return Standing.TRAINING
        return Standing.REJECTED if self._was_rejected(claim) else Standing.VOID

    def _was_rejected(self, claim: Claim) -> bool:
        document = self._store.find(f"{keys.EXECUTIONS}{claim.execution_id}/{OUTPUT_EVALUATION}/{EVALUATION_FILE}")
        return document is not None and json.loads(document.body)["gate"]["passed"] == 0


def put_manifest(store: ObjectStore, manifest: DatasetManifest) -> None:
    """Write a dataset's manifest unless it is there: a dataset never changes."""
    store.create(keys.dataset_prefix(manifest.sha256) + DATASET_MANIFEST_FILE, manifest.canonical_json())


def get_manifest(store: ObjectStore, sha256: str) -> DatasetManifest:
    """Read a dataset's manifest. Raises DatasetError when it is not what its name says."""
    manifest = parse_manifest(store.get(keys.dataset_prefix(sha256) + DATASET_MANIFEST_FILE).body)
    if manifest.sha256 != sha256:
        raise DatasetError(f"dataset {sha256} is not what its name says")
    return manifest
