"""What curation knows of every image set version: one small document each, so that executions never contend."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ahiflow import keys
from ahiflow.dataset import pixel_checksum
from ahiflow.errors import DatasetError
from ahiflow.image_set_document import PIXELS_FILE, ImageSetDocument
from ahiflow.labels import canonical_json
from ahiflow.object_store import ObjectStore

_READERS = 8


class CuratedImageSet(BaseModel):
    """One image set version as the fetcher left it. ``pixel_checksum`` is None for image sets without pixels.

    Labels are joined later, from the table then in force, so that labels may be put after the images came.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    datastore_id: str
    image_set_id: str
    version_id: str
    patient_pseudonym: str
    sop_instance_hashes: tuple[str, ...]
    pixel_checksum: str | None

    @classmethod
    def from_document(cls, document: ImageSetDocument) -> CuratedImageSet:
        """Take from ``image_set.json`` what the dataset needs. Only frames in ``pixels.npy`` count as pixels."""
        checksum = None
        if document.pixels is not None:
            frames = sorted((f for f in document.frames if f.file == PIXELS_FILE), key=lambda f: f.index)
            checksum = pixel_checksum((f.crc32 for f in frames), document.pixels.shape, document.pixels.dtype)
        return cls(
            datastore_id=document.datastore_id,
            image_set_id=document.image_set_id,
            version_id=document.version_id,
            patient_pseudonym=document.patient_pseudonym,
            sop_instance_hashes=document.sop_instance_hashes(),
            pixel_checksum=checksum,
        )


def put_record(store: ObjectStore, record: CuratedImageSet) -> None:
    """Write one record; writing it again changes nothing."""
    key = keys.curated_image_set_key(record.image_set_id, record.version_id)
    store.put(key, canonical_json(record.model_dump(mode="json")))


def read_records(store: ObjectStore) -> list[CuratedImageSet]:
    """Read every record, the newest version of each image set only, ordered by image set id.

    S3 lists what was written before (strong consistency), so of several executions the last to write sees all.
    """
    wanted = list(store.keys(keys.CURATED_IMAGE_SETS))
    with ThreadPoolExecutor(_READERS) as readers:
        records = readers.map(lambda key: _parse(key, store.get(key).body), wanted)
        return _newest(records)


def _newest(records: Iterable[CuratedImageSet]) -> list[CuratedImageSet]:
    newest: dict[str, CuratedImageSet] = {}
    for record in records:
        known = newest.get(record.image_set_id)
        if known is None or int(record.version_id) > int(known.version_id):
            newest[record.image_set_id] = record
    return [newest[image_set_id] for image_set_id in sorted(newest)]


def _parse(key: str, body: bytes) -> CuratedImageSet:
    try:
        return CuratedImageSet.model_validate_json(body)
    except ValidationError as error:
        raise DatasetError(f"{key} was not written by this version") from error
