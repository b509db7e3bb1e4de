"""SearchImageSets: the latest version of each image set that is not deleted."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from localcloud.healthimaging.context import Context
from localcloud.healthimaging.errors import ValidationError
from localcloud.healthimaging.operations.datastores import require_active
from localcloud.healthimaging.state.paging import page

_COLUMNS = {
    "DICOMPatientId": "patient_id",
    "DICOMAccessionNumber": "accession_number",
    "DICOMStudyId": "study_id",
    "DICOMStudyInstanceUID": "study_uid",
    "DICOMSeriesInstanceUID": "series_uid",
    "DICOMStudyDateAndTime": "study_date_time",
    "createdAt": "created_at",
    "updatedAt": "updated_at",
    "isPrimary": "is_primary",
}
_RANGES = frozenset({"createdAt", "updatedAt", "DICOMStudyDateAndTime"})
_SORTS = {"updatedAt": "updated_at", "createdAt": "created_at", "DICOMStudyDateAndTime": "sort_date"}
_SELECT = (
    "SELECT *, coalesce(study_date_time, '') AS sort_date FROM image_sets WHERE datastore_id = ? AND state != 'DELETED'"
)


def search(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """SearchImageSets; filters are joined by AND. Newest update first unless asked otherwise."""
    require_active(context, params["datastoreId"])
    criteria = params.get("searchCriteria", {})
    select = _SELECT
    values: list[Any] = [params["datastoreId"]]
    for condition in criteria.get("filters", ()):
        sql, bound = _condition(condition)
        select += f" AND {sql}"
        values += bound
    sort = criteria.get("sort", {"sortField": "updatedAt", "sortOrder": "DESC"})
    rows, token = page(
        context.database,
        f"SELECT * FROM ({select}) WHERE 1",
        values,
        order_by=(_SORTS[sort["sortField"]], "id"),
        descending=sort["sortOrder"] == "DESC",
        max_results=params.get("maxResults"),
        next_token=params.get("nextToken"),
    )
    return {"imageSetsMetadataSummaries": [_summary(row) for row in rows], "sort": sort, "nextToken": token}


def _condition(condition: dict[str, Any]) -> tuple[str, list[Any]]:
    values = condition["values"]
    names = {name for value in values for name in value}
    if len(names) != 1:
        raise ValidationError("The values of a filter must be of one attribute.")
    (name,) = names
    column = _COLUMNS[name]
    bound = [_bound(name, value[name]) for value in values]
    if condition["operator"] == "EQUAL":
        if len(bound) != 1:
            raise ValidationError("EQUAL takes one value.")
        return f"{column} = ?", bound
    if len(bound) != 2 or name not in _RANGES:
        raise ValidationError("BETWEEN takes two values of createdAt, updatedAt or DICOMStudyDateAndTime.")
    return f"{column} BETWEEN ? AND ?", bound


def _bound(name: str, value: Any) -> Any:
    if name == "DICOMStudyDateAndTime":
        return value["DICOMStudyDate"] + value.get("DICOMStudyTime", "")
    if name == "isPrimary":
        return int(value)
    return value


def _summary(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "imageSetId": row["id"],
        "version": row["version"],
        "createdAt": row["created_at"],
        "updatedAt": row["updated_at"],
        "lastAccessedAt": row["accessed_at"],
        "storageTier": "FREQUENT_ACCESS",
        "DICOMTags": json.loads(row["tags"]),
        "isPrimary": bool(row["is_primary"]),
    }
