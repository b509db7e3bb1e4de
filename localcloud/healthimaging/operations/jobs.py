"""StartDICOMImportJob, GetDICOMImportJob, ListDICOMImportJobs."""

from __future__ import annotations

import json
import sqlite3
from typing import Any
from uuid import uuid4

from localcloud.healthimaging.context import Context
from localcloud.healthimaging.errors import ConflictError, NotFoundError, QuotaExceededError, ValidationError
from localcloud.healthimaging.importing.lifecycle import TASK
from localcloud.healthimaging.importing.report import job_folder
from localcloud.healthimaging.operations.datastores import require_active, require_datastore
from localcloud.healthimaging.state import tasks
from localcloud.healthimaging.state.database import insert
from localcloud.healthimaging.state.paging import page


def start(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """StartDICOMImportJob; the same clientToken in a data store gives the same job."""
    if "importConfiguration" in params:
        raise ValidationError("importConfiguration is not supported by the local HealthImaging.")
    datastore_id = params["datastoreId"]
    require_active(context, datastore_id)
    request = json.dumps({key: value for key, value in params.items() if key != "clientToken"}, sort_keys=True)
    now = context.database.clock()
    with context.database.transaction() as connection:
        job = connection.execute(
            "SELECT * FROM jobs WHERE datastore_id = ? AND client_token = ?", (datastore_id, params["clientToken"])
        ).fetchone()
        if job is not None:
            if job["request"] != request:
                raise ConflictError("clientToken was used with other parameters.")
            return _started(job)
        (running,) = connection.execute(
            "SELECT count(*) FROM jobs WHERE datastore_id = ? AND status IN ('SUBMITTED', 'IN_PROGRESS')",
            (datastore_id,),
        ).fetchone()
        if running >= context.switches.max_concurrent_jobs:
            raise QuotaExceededError(f"Only {context.switches.max_concurrent_jobs} concurrent import jobs are allowed.")
        job_id = uuid4().hex
        insert(
            connection,
            "jobs",
            id=job_id,
            datastore_id=datastore_id,
            name=params.get("jobName", job_id),
            status="SUBMITTED",
            role_arn=params["dataAccessRoleArn"],
            input_uri=params["inputS3Uri"],
            output_uri=params["outputS3Uri"],
            submitted_at=now,
            client_token=params["clientToken"],
            request=request,
        )
        job = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        context.events.job(connection, "Import Job Submitted", job, job["output_uri"])
        tasks.schedule(connection, TASK, job_id, now + context.switches.job_submitted_seconds)
    context.tasks.wake()
    context.outbox.wake()
    return _started(job)


def get(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """GetDICOMImportJob; ``outputS3Uri`` is the job's own folder."""
    rows = context.database.query(
        "SELECT * FROM jobs WHERE datastore_id = ? AND id = ?", params["datastoreId"], params["jobId"]
    )
    if not rows:
        raise NotFoundError("Requested DICOMImportJob does not exist.")
    job = rows[0]
    uris = {
        "inputS3Uri": job["input_uri"],
        "outputS3Uri": str(job_folder(job["output_uri"], job["datastore_id"], job["id"])),
    }
    return {"jobProperties": _summary(job) | uris}


def list_(context: Context, params: dict[str, Any]) -> dict[str, Any]:
    """ListDICOMImportJobs, newest first."""
    require_datastore(context, params["datastoreId"])
    select, values = "SELECT * FROM jobs WHERE datastore_id = ?", [params["datastoreId"]]
    if "jobStatus" in params:
        select += " AND status = ?"
        values.append(params["jobStatus"])
    rows, token = page(
        context.database,
        select,
        values,
        order_by=("submitted_at", "id"),
        descending=True,
        max_results=params.get("maxResults"),
        next_token=params.get("nextToken"),
    )
    return {"jobSummaries": [_summary(row) for row in rows], "nextToken": token}


def _started(job: sqlite3.Row) -> dict[str, Any]:
    return {
        "datastoreId": job["datastore_id"],
        "jobId": job["id"],
        "jobStatus": job["status"],
        "submittedAt": job["submitted_at"],
    }


def _summary(job: sqlite3.Row) -> dict[str, Any]:
    summary = _started(job) | {
        "jobName": job["name"],
        "dataAccessRoleArn": job["role_arn"],
        "endedAt": job["ended_at"],
        "message": job["message"],
    }
    return {name: value for name, value in summary.items() if value is not None}
