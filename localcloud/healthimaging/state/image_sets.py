"""Image sets, their versions and frames, in the database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from localcloud.healthimaging.errors import NotFoundError
from localcloud.healthimaging.importing.grouping import (
    Established,
    EstablishedSeries,
    InstanceIdentity,
    StudyIdentity,
)
from localcloud.healthimaging.state.database import Database, insert


@dataclass(frozen=True, slots=True)
class FrameRow:
    """Where a frame lies: a file below the service's state, and a span of it."""

    image_frame_id: str
    path: str
    start: int
    length: int
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """One image set version about to become visible."""

    image_set_id: str
    version: int
    is_primary: bool
    identity: InstanceIdentity
    metadata_path: str
    search_tags: dict[str, Any]
    frames: list[FrameRow]
    matched_instances: int


def get(database: Database, datastore_id: str, image_set_id: str) -> sqlite3.Row:
    """Return an image set, deleted ones included. Raises NotFoundError."""
    rows = database.query("SELECT * FROM image_sets WHERE datastore_id = ? AND id = ?", datastore_id, image_set_id)
    if not rows:
        raise NotFoundError("Requested ImageSet does not exist.")
    return rows[0]


def get_version(database: Database, image_set: sqlite3.Row, version_id: str | None) -> sqlite3.Row:
    """Return a version, the latest without an id. Raises NotFoundError."""
    version = int(version_id) if version_id else image_set["version"]
    rows = database.query("SELECT * FROM versions WHERE image_set_id = ? AND version = ?", image_set["id"], version)
    if not rows:
        raise NotFoundError("Requested version of ImageSet does not exist.")
    return rows[0]


def established(
    database: Database, datastore_id: str, study_uids: Iterable[str], series_uids: Iterable[str]
) -> Established:
    """What the active primary image sets say of these studies and series."""
    studies: dict[str, StudyIdentity] = {}
    series: dict[str, EstablishedSeries] = {}
    select = "SELECT * FROM image_sets WHERE datastore_id = ? AND is_primary = 1 AND state = 'ACTIVE' AND "
    for column, uids in (("study_uid", set(study_uids)), ("series_uid", set(series_uids))):
        for uid in sorted(uids):
            for row in database.query(f"{select} {column} = ? ORDER BY created_at, id", datastore_id, uid):
                consistency = json.loads(row["consistency"])
                known = EstablishedSeries(row["id"], row["study_uid"], consistency.pop("series_number"))
                series.setdefault(row["series_uid"], known)
                studies.setdefault(row["study_uid"], StudyIdentity(**consistency))
    return Established(studies, series)


def add_version(connection: sqlite3.Connection, datastore_id: str, new: NewVersion, now: float) -> None:
    """Make a version visible: the image set itself where it is the first, or its increment."""
    identity = new.identity
    workflow = "CREATED" if new.version == 1 else "UPDATED"
    columns: dict[str, object] = {
        "version": new.version,
        "workflow": workflow,
        "updated_at": now,
        "tags": json.dumps(new.search_tags),
        "patient_id": new.search_tags.get("DICOMPatientId"),
        "accession_number": new.search_tags.get("DICOMAccessionNumber"),
        "study_id": new.search_tags.get("DICOMStudyId"),
        "study_date_time": _date_time(new.search_tags),
    }
    if new.version == 1:
        insert(
            connection,
            "image_sets",
            id=new.image_set_id,
            datastore_id=datastore_id,
            is_primary=int(new.is_primary),
            state="ACTIVE",
            created_at=now,
            accessed_at=now,
            study_uid=identity.study_instance_uid,
            series_uid=identity.series_instance_uid,
            consistency=json.dumps(asdict(identity.study) | {"series_number": identity.series_number}),
            **columns,
        )
    else:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        connection.execute(
            f"UPDATE image_sets SET {assignments} WHERE id = ?",
            (*columns.values(), new.image_set_id),
        )
    insert(
        connection,
        "versions",
        image_set_id=new.image_set_id,
        version=new.version,
        workflow=workflow,
        created_at=now,
        updated_at=now,
        metadata_path=new.metadata_path,
    )
    connection.executemany(
        "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?)",
        [
            (new.image_set_id, row.image_frame_id, row.path, row.start, row.length, row.transfer_syntax_uid)
            for row in new.frames
        ],
    )


def _date_time(tags: dict[str, Any]) -> str | None:
    date = tags.get("DICOMStudyDate")
    return f"{date}{tags.get('DICOMStudyTime') or ''}" if date else None
