"""Jobs: created, queued for a slot, run, described, listed, stopped, and taken up again after a crash."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from localcloud.sagemaker import events, process
from localcloud.sagemaker.context import Context, Operation, now
from localcloud.sagemaker.errors import in_use, validation
from localcloud.sagemaker.jobkind import JobKind
from localcloud.sagemaker.jobrun import JobRun
from localcloud.sagemaker.paging import Listing, list_page
from localcloud.sagemaker.processing import ProcessingKind
from localcloud.sagemaker.tags import put_tags
from localcloud.sagemaker.training import TrainingKind

log = logging.getLogger(__name__)

TERMINAL = frozenset({"Completed", "Failed", "Stopped"})
INTERRUPTED = "InternalServerError: the local cloud was restarted while the job ran"
_NOT_FOUND = {
    "ProcessingJob": "Could not find requested job with name: {name}",
    "TrainingJob": "Requested resource not found: training job {name}",
}


class Jobs:
    """Processing and training jobs. A record, kept under the name in lower case as ARNs have it, holds ``document``
    (what Describe answers), ``owner`` and ``process``.

    ``on_end`` is called in the job's thread, after the commit, with the record of a job that ended and has an owner.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kinds: dict[str, JobKind] = {kind.names.kind: kind for kind in (ProcessingKind(), TrainingKind())}
        self._pool = ThreadPoolExecutor(context.limits.job_slots, thread_name_prefix="sagemaker-job")
        self._started = False
        self._closing = threading.Event()
        self._stops: dict[tuple[str, str], threading.Event] = {}
        self._recovered: list[dict[str, Any]] = []
        self.on_end: Callable[[Mapping[str, Any]], None] = lambda record: None

    def operations(self) -> dict[str, Operation]:
        """The API of both kinds."""
        table: dict[str, Operation] = {}
        for kind in self._kinds:
            table |= {
                f"Create{kind}": lambda request, kind=kind: self._create(kind, request),  # type: ignore[misc]
                f"Describe{kind}": lambda request, kind=kind: self._describe(kind, request),  # type: ignore[misc]
                f"List{kind}s": lambda request, kind=kind: self._list(kind, request),  # type: ignore[misc]
                f"Stop{kind}": lambda request, kind=kind: self._stop(kind, request),  # type: ignore[misc]
            }
        return table

    def create(self, kind: str, request: dict[str, Any], owner: dict[str, Any] | None = None) -> dict[str, Any]:
        """Record and queue a job; returns its document. The request fits the shape already."""
        job_kind = self._kinds[kind]
        job_kind.check(request)
        names, store = job_kind.names, self._context.store
        name = request[names.name]
        arn = self._context.arns.of(names.resource_type, name)
        with store.transaction():
            if store.get(kind, name.lower()):
                raise in_use(f"Job name must be unique within an AWS account and region: {arn} already exists.")
            document = job_kind.describe(request, arn)
            document |= {names.status: "InProgress", "CreationTime": now(), "LastModifiedTime": now()}
            store.put(kind, name.lower(), {"kind": kind, "document": document, "owner": owner, "process": None})
            put_tags(store, arn, request.get("Tags", []))
            events.job_changed(store, names.event, document)
        self._context.outbox.wake()
        self._submit(kind, name)
        return document

    def document(self, kind: str, name: str) -> dict[str, Any]:
        """What Describe answers. Raises ValidationException as the service does."""
        record = self._context.store.get(kind, name.lower())
        if record is None:
            raise validation(_NOT_FOUND[kind].format(name=name))
        return dict(record["document"])

    def stop(self, kind: str, name: str) -> None:
        """Ask a job to end; one that waits for a slot ends at once, one that ended already is left alone."""
        names, store = self._kinds[kind].names, self._context.store
        with store.transaction():
            record = store.get(kind, name.lower())
            if record is None or record["document"][names.status] != "InProgress":
                return
            waiting = names.started not in record["document"]
            self._change(record, {names.status: "Stopping"}, secondary="Stopping")
            if waiting:
                self._change(record, {names.status: "Stopped", names.ended: now()}, secondary="Stopped")
            stop = self._stops.get((kind, record["document"][names.name]))
        if stop:
            stop.set()
        if waiting:
            self._ended(record)

    def recover(self) -> None:
        """Kill what the last process left running and fail its jobs; their owners may run them again."""
        for kind, job_kind in self._kinds.items():
            names = job_kind.names
            for record in self._context.store.all(kind):
                document = record["document"]
                if document[names.status] in TERMINAL:
                    continue
                if record["process"]:
                    process.kill_stray(record["process"])
                if names.started not in document and document[names.status] == "InProgress":
                    continue  # never begun: start() queues it
                shutil.rmtree(self._root(record), ignore_errors=True)
                status = "Stopped" if document[names.status] == "Stopping" else "Failed"
                fields = {names.status: status, names.ended: now(), "FailureReason": INTERRUPTED}
                with self._context.store.transaction():
                    record["interrupted"] = status == "Failed"
                    self._change(record, fields, secondary=status)
                self._recovered.append(record)

    def start(self) -> None:
        """Open the slots. Owners of jobs that ``recover`` failed are told first."""
        for record in self._recovered:
            self._ended(record)
        self._recovered.clear()
        with self._context.store.transaction():  # a job is queued by its creator or here, never by both
            self._started = True
            for kind, job_kind in self._kinds.items():
                for record in self._context.store.all(kind):
                    if record["document"][job_kind.names.status] == "InProgress":
                        self._submit(kind, record["document"][job_kind.names.name])

    def close(self) -> None:
        """End the containers; their jobs stay InProgress on disk and are taken up by the next start."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, kind: str, name: str) -> None:
        if self._started and not self._closing.is_set():
            future = self._pool.submit(self._run, kind, name)
            future.add_done_callback(_log_defect)

    def _create(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        arn = self._kinds[kind].names.arn
        return {arn: self.create(kind, request)[arn]}

    def _describe(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        return self.document(kind, request[f"{kind}Name"])

    def _stop(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        name = request[f"{kind}Name"]
        self.document(kind, name)
        self.stop(kind, name)
        return {}

    def _list(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        names = self._kinds[kind].names
        fields = {names.name, names.arn, names.status, names.ended, "CreationTime", "LastModifiedTime"}
        fields |= {"SecondaryStatus"} if kind == "TrainingJob" else {"FailureReason", "ExitMessage"}
        documents = [record["document"] for record in self._context.store.all(kind)]
        listing = Listing(name=names.name, status=names.status)
        page, token = list_page(request, documents, listing, lambda item: str(item[names.arn]))
        summaries = [{key: value for key, value in item.items() if key in fields} for item in page]
        return {f"{kind}Summaries": summaries, **token}

    def _root(self, record: Mapping[str, Any]) -> Path:
        kind = str(record["kind"])
        return self._context.backplane.state / "jobs" / kind / str(record["document"][f"{kind}Name"])

    def _run(self, kind: str, name: str) -> None:
        stop = self._stops[kind, name] = threading.Event()
        record = self._claim(kind, name)
        if record is None:
            self._stops.pop((kind, name))
            return
        run = JobRun(self._context, self._kinds[kind], record, self._root(record), stop, self._closing, self._change)
        try:
            run.run()
        finally:
            self._stops.pop((kind, name))
            if not run.interrupted:
                if not run.ended:  # a defect of ours, see _log_defect
                    run.end("Failed", {"FailureReason": "InternalServerError: the local cloud failed, see its log"})
                self._ended(record)

    def _claim(self, kind: str, name: str) -> dict[str, Any] | None:
        """Mark a waiting job as begun; None when it was stopped while it waited."""
        names = self._kinds[kind].names
        with self._context.store.transaction():
            record = self._context.store.get(kind, name.lower())
            if record is None or record["document"][names.status] != "InProgress":
                return None
            self._change(record, {names.started: now()}, secondary="Downloading")
        return record

    def _change(self, record: dict[str, Any], fields: Mapping[str, Any], secondary: str | None = None) -> None:
        """Commit new fields of a job's document, with its event when the status changed."""
        names, store, moment = self._kinds[record["kind"]].names, self._context.store, now()
        name = record["document"][names.name]
        with store.transaction():
            stored = store.get(record["kind"], name.lower()) or record  # its status may have become Stopping meanwhile
            document = record["document"] = stored["document"]
            before = (document[names.status], document.get("SecondaryStatus"))
            document |= {**fields, "LastModifiedTime": moment}
            if secondary and "SecondaryStatus" in document and document["SecondaryStatus"] != secondary:
                transitions = document["SecondaryStatusTransitions"]
                transitions[-1].setdefault("EndTime", moment)
                transitions.append({"Status": secondary, "StartTime": moment})
                document["SecondaryStatus"] = secondary
            store.put(record["kind"], name.lower(), record)
            if (document[names.status], document.get("SecondaryStatus")) != before:
                events.job_changed(store, names.event, document)
        self._context.outbox.wake()

    def _ended(self, record: Mapping[str, Any]) -> None:
        if record["owner"]:
            self.on_end(record)


def _log_defect(future: Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.error("a job ended by a defect of the local cloud", exc_info=error)
