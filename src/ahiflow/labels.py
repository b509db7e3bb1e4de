"""The label table: which instance has which label, by keyed hash, and when to train on it.

In the artifacts bucket: ``labels/<sha256>.json`` (immutable, canonical JSON) and ``labels/current.json``, which names
the one in force. A table holds no UID, no file name and no patient.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from ahiflow import keys
from ahiflow.errors import InvalidLabelsError
from ahiflow.object_store import ObjectStore

LABELS_VERSION = 1

_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WhenComplete(_Frozen):
    """Train once every labelled instance has been fetched."""

    complete: Literal[True] = True


class WhenEnough(_Frozen):
    """Train once this many labelled image sets came that no trained dataset holds."""

    minimum_new_image_sets: PositiveInt


TrainWhen = WhenComplete | WhenEnough


class LabelTable(_Frozen):
    """Labels of instances. ``labels`` maps a ``sop_instance_hash`` to an index into ``class_names`` (1 = positive)."""

    schema_version: Literal[1] = 1
    label_name: str
    class_names: tuple[str, str]
    labels: dict[_Hash, Literal[0, 1]]
    train_when: TrainWhen = WhenComplete()

    def canonical_json(self) -> bytes:
        """The one byte form of this table; its SHA-256 names it."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """Name of the table."""
        return hashlib.sha256(self.canonical_json()).hexdigest()


class _CurrentLabels(_Frozen):
    schema_version: Literal[1] = 1
    sha256: _Hash


def canonical_json(document: object) -> bytes:
    """Sorted keys, no spaces, UTF-8: equal documents have equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def put_labels(store: ObjectStore, table: LabelTable) -> str:
    """Store a table and put it in force; returns its SHA-256. The table is written before it is named."""
    sha256 = table.sha256
    store.put(keys.labels_key(sha256), table.canonical_json())
    store.put(keys.CURRENT_LABELS, canonical_json(_CurrentLabels(sha256=sha256).model_dump(mode="json")))
    return sha256


def find_labels(store: ObjectStore) -> LabelTable | None:
    """The table in force, or None when none was put. Raises InvalidLabelsError for one that was tampered with."""
    current = store.find(keys.CURRENT_LABELS)
    if current is None:
        return None
    try:
        named = _CurrentLabels.model_validate_json(current.body)
        body = store.get(keys.labels_key(named.sha256)).body
        table = LabelTable.model_validate_json(body)
    except ValidationError as error:
        raise InvalidLabelsError("the label table in S3 breaks its schema: put the labels again") from error
    if hashlib.sha256(body).hexdigest() != named.sha256:
        raise InvalidLabelsError(f"the label table labels/{named.sha256}.json is not what its name says")
    return table
