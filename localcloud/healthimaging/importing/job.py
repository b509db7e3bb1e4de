"""Runs import jobs. A job becomes visible in one transaction at its end; until then all it wrote is in its own folder,
and a job that a crash cut short starts again from an empty one."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from ahiflow.s3uri import S3Uri
from localcloud.healthimaging.context import Context
from localcloud.healthimaging.importing import lifecycle
from localcloud.healthimaging.importing import report as reports
from localcloud.healthimaging.importing.assemble import Assembled, Assembler, Existing, compose_report
from localcloud.healthimaging.importing.grouping import Group, group_instances
from localcloud.healthimaging.importing.instance import FileRefusedError, StagedInstance, stage
from localcloud.healthimaging.importing.source import JobRefusedError, SourceObject, download, list_objects
from localcloud.healthimaging.state import image_sets

_COMMIT_ATTEMPTS = 10
_FRAMES = "frames"
_SCRATCH = "download"


class _StoppedError(Exception):
    """The service is closing."""


class ImportJobs:
    """The handler of import-job tasks; call :meth:`run` in a worker thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._closing = threading.Event()
        self._commit = threading.Lock()  # one job at a time decides what merges with what
        self._staging = ThreadPoolExecutor(context.switches.import_threads, thread_name_prefix="healthimaging-import")
        self._s3_lock = threading.Lock()
        self._s3_client: Any = None

    def stop(self) -> None:
        """Make running jobs return soon; they start again with the next process."""
        self._closing.set()

    def close(self) -> None:
        """Free the threads, once no job runs."""
        self._staging.shutdown(wait=True, cancel_futures=True)

    def tidy(self) -> None:
        """Remove what a crash right after a commit left. Call before any job runs."""
        for marker in (self._context.state / "jobs").glob(f"*/*/{_SCRATCH}"):
            job_id = marker.parts[-3]
            if self._context.database.query("SELECT 1 FROM jobs WHERE id = ? AND status = 'COMPLETED'", job_id):
                self._clean(marker.parent)

    def run(self, job_id: str) -> None:
        """Import one job to its end, COMPLETED or FAILED. Raises when S3 cannot be reached: try again."""
        job = lifecycle.begin(self._context, job_id)
        if job is None:
            return
        jobs = self._context.state / "jobs" / job_id
        shutil.rmtree(jobs, ignore_errors=True)
        # A name of its own: a thread left over from a failed attempt must find its folder gone.
        folder = jobs / uuid4().hex[:8]
        for part in (_FRAMES, "metadata", _SCRATCH):
            (folder / part).mkdir(parents=True)
        try:
            self._import(job, folder)
        except _StoppedError:
            return
        except JobRefusedError as error:
            lifecycle.fail(self._context, job, str(error))
            shutil.rmtree(jobs)
        except ClientError as error:
            lifecycle.fail(
                self._context, job, f"{error.operation_name} failed: {error.response['Error'].get('Code', 'unknown')}"
            )
            shutil.rmtree(jobs)
        else:
            self._clean(folder)

    def _clean(self, folder: Path) -> None:
        """Remove staged documents, and frames that no image set has (an instance that was sent twice)."""
        rows = self._context.database.query(
            "SELECT DISTINCT path FROM frames WHERE path LIKE ?", f"{folder.relative_to(self._context.state)}/%"
        )
        wanted = {self._context.state / row["path"] for row in rows}
        for file in (folder / _FRAMES).iterdir():
            if file not in wanted:
                file.unlink()
        shutil.rmtree(folder / _SCRATCH)

    def _import(self, job: Any, folder: Path) -> None:
        context, s3 = self._context, self._s3()
        location = S3Uri.parse(job["input_uri"])
        objects = list_objects(s3, location, context.switches)
        (storage_format,) = context.database.query(
            "SELECT storage_format FROM datastores WHERE id = ?", job["datastore_id"]
        )[0]
        stage_one = partial(self._stage, s3, location.bucket, job["id"], folder, storage_format)
        results = list(self._staging.map(stage_one, range(len(objects)), objects))
        staged = [result for result in results if isinstance(result, StagedInstance)]
        failed = [result for result in results if isinstance(result, reports.FailedFile)]
        with self._commit:
            for _ in range(_COMMIT_ATTEMPTS):
                outcomes = self._assemble(job, folder, staged)
                report = compose_report(job, len(objects), outcomes, failed)
                reports.write(s3, report, context.switches)
                if lifecycle.make_visible(context, job, outcomes, str(report.folder)):
                    return
        raise JobRefusedError("The image sets to extend kept changing")

    def _stage(
        self, s3: Any, bucket: str, job_id: str, folder: Path, storage_format: str, index: int, source: SourceObject
    ) -> StagedInstance | reports.FailedFile:
        if self._closing.is_set():
            raise _StoppedError
        file = folder / _SCRATCH / f"{index}.dcm"
        target = folder / _FRAMES / str(index)
        try:
            download(s3, bucket, source.key, file)
            return stage(file, source.key, job_id, target, storage_format, self._context.switches)
        except FileRefusedError as error:
            target.with_suffix(".frames").unlink(missing_ok=True)
            return reports.FailedFile(source.key, str(error))
        except ClientError as error:
            code = error.response["Error"].get("Code", "unknown")
            return reports.FailedFile(source.key, f"The object cannot be read: {code}", is_server_error=True)
        finally:
            file.unlink(missing_ok=True)

    def _assemble(self, job: Any, folder: Path, staged: list[StagedInstance]) -> list[Assembled]:
        context = self._context
        identities = [item.identity for item in staged]
        known = image_sets.established(
            context.database,
            job["datastore_id"],
            [identity.study_instance_uid for identity in identities],
            [identity.series_instance_uid for identity in identities],
        )
        groups = group_instances(identities, known, last_is_primary=context.switches.last_conflicting_group_is_primary)
        assembler = Assembler(job["datastore_id"], job["id"], context.state, folder, context.switches)
        return [assembler.assemble(group, staged, self._existing(group)) for group in groups]

    def _existing(self, group: Group) -> Existing | None:
        if group.merges_into is None:
            return None
        (row,) = self._context.database.query(
            "SELECT v.version, v.metadata_path FROM versions v JOIN image_sets i ON i.id = v.image_set_id"
            " AND i.version = v.version WHERE i.id = ?",
            group.merges_into,
        )
        return Existing(row["version"], self._context.state / row["metadata_path"])

    def _s3(self) -> Any:
        with self._s3_lock:
            if self._s3_client is None:
                self._s3_client = self._context.backplane.aws("s3")
            return self._s3_client
