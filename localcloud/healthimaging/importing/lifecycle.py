"""The states of an import job, each change one transaction with its event."""

from __future__ import annotations

from typing import Any

from localcloud.healthimaging.context import Context
from localcloud.healthimaging.importing.assemble import Assembled
from localcloud.healthimaging.state import image_sets, tasks

TASK = "import-job"


def begin(context: Context, job_id: str) -> Any:
    """SUBMITTED becomes IN_PROGRESS; the job's row, or None where it has ended already."""
    with context.database.transaction() as connection:
        job = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if job is None or job["status"] in ("COMPLETED", "FAILED"):
            tasks.finish(connection, TASK, job_id)
            return None
        if job["status"] == "SUBMITTED":
            connection.execute("UPDATE jobs SET status = 'IN_PROGRESS' WHERE id = ?", (job_id,))
            context.events.job(connection, "Import Job In Progress", job, job["output_uri"])
    context.outbox.wake()
    return job


def make_visible(context: Context, job: Any, outcomes: list[Assembled], output_folder: str) -> bool:
    """Commit everything at once, COMPLETED; False where an image set to extend changed meanwhile."""
    now = context.database.clock()
    versions = [outcome.version for outcome in outcomes if outcome.version]
    with context.database.transaction() as connection:
        for new in versions:
            row = connection.execute(
                "SELECT version, state FROM image_sets WHERE id = ?", (new.image_set_id,)
            ).fetchone()
            if new.version > 1 and (row["version"], row["state"]) != (new.version - 1, "ACTIVE"):
                return False
        for new in versions:
            image_sets.add_version(connection, job["datastore_id"], new, now)
            _announce(context, connection, job["datastore_id"], new)
        connection.execute("UPDATE jobs SET status = 'COMPLETED', ended_at = ? WHERE id = ?", (now, job["id"]))
        uri = output_folder if context.switches.completed_event_has_job_folder else job["output_uri"]
        context.events.job(connection, "Import Job Completed", job, uri)
        tasks.finish(connection, TASK, job["id"])
    context.outbox.wake()
    return True


def _announce(context: Context, connection: Any, datastore_id: str, new: image_sets.NewVersion) -> None:
    created = new.version == 1
    detail_type = "Image Set Created" if created else context.switches.increment_detail_type
    if not detail_type:
        return
    context.events.image_set(
        connection,
        detail_type,
        datastore_id=datastore_id,
        image_set_id=new.image_set_id,
        version=new.version,
        is_primary=new.is_primary,
        state="ACTIVE",
        workflow="CREATED" if created else "UPDATED",
    )


def fail(context: Context, job: Any, message: str) -> None:
    """The job as a whole ends FAILED; ``message`` is what GetDICOMImportJob shows."""
    with context.database.transaction() as connection:
        connection.execute(
            "UPDATE jobs SET status = 'FAILED', message = ?, ended_at = ? WHERE id = ?",
            (message, context.database.clock(), job["id"]),
        )
        context.events.job(connection, "Import Job Failed", job, job["output_uri"])
        tasks.finish(connection, TASK, job["id"])
    context.outbox.wake()
