"""One job in one slot: stage, start, watch, collect."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.sagemaker.context import Context, now
from localcloud.sagemaker.errors import JobFailedError, JobInterruptedError
from localcloud.sagemaker.jobkind import JobKind
from localcloud.sagemaker.process import Container, container_environment

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1
_LOG_BATCH = 1000


class _Change(Protocol):
    def __call__(self, record: dict[str, Any], fields: Mapping[str, Any], secondary: str | None = None) -> None: ...


class JobRun:
    """Runs a recorded job to its end. Afterwards exactly one of ``ended`` and ``interrupted`` is true."""

    def __init__(
        self,
        context: Context,
        kind: JobKind,
        record: dict[str, Any],
        root: Path,
        stop: threading.Event,
        closing: threading.Event,
        change: _Change,
    ) -> None:
        self._context = context
        self._kind = kind
        self._record = record
        self._root = root
        self._stop = stop
        self._closing = closing
        self._change = change
        self._name: str = record["document"][kind.names.name]
        self._log = context.log_file(f"{kind.names.kind}s", self._name)
        self._overran = False
        self.ended = False
        self.interrupted = False

    def run(self) -> None:
        """Run to the end; a job that cannot go on is Failed with its reason."""
        try:
            self._run()
        except JobInterruptedError:
            self.interrupted = True
        except JobFailedError as error:
            self.end("Failed", {"FailureReason": str(error)})
        except (OSError, ClientError, BotoCoreError) as error:
            self.end("Failed", {"FailureReason": f"InternalServerError: {error}"})
        self._publish_log()

    def end(self, status: str, fields: Mapping[str, Any]) -> None:
        """Commit the end. The job's directory goes, unless the job failed."""
        secondary = "MaxRuntimeExceeded" if self._overran and status == "Stopped" else status
        times = {self._kind.names.ended: now()}
        if self._kind.names.kind == "TrainingJob" and self._kind.names.started in self._record["document"]:
            seconds = int(times[self._kind.names.ended] - self._record["document"][self._kind.names.started])
            times |= {"TrainingTimeInSeconds": max(1, seconds), "BillableTimeInSeconds": max(1, seconds)}
        self._record["process"] = None
        if status != "Failed":
            shutil.rmtree(self._root, ignore_errors=True)
        self._change(self._record, {self._kind.names.status: status, **times, **fields}, secondary=secondary)
        self.ended = True

    def _run(self) -> None:
        document = self._record["document"]
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir(parents=True)
        s3 = self._context.backplane.aws("s3")
        self._kind.stage(s3, document, self._root)
        exit_code = self._run_container(s3)
        stopped = exit_code is None
        self._change(self._record, {}, secondary="Stopping" if stopped else "Uploading")
        succeeded = exit_code == 0 or (stopped and self._kind.names.kind == "TrainingJob")
        fields = self._kind.collect(s3, document, self._root, succeeded=succeeded, log=self._log)
        if exit_code == 0:
            self.end("Completed", fields)
        elif exit_code is None:
            self.end("Stopped", fields)
        else:
            self.end("Failed", fields | {"FailureReason": self._kind.failure(self._root, exit_code)})

    def _run_container(self, s3: Any) -> int | None:
        """Exit code; None when the container was made to stop."""
        document = self._record["document"]
        image = self._kind.image(self._context.images, document)
        argv = self._kind.argv(image, document, self._root)
        environment = container_environment(
            root=self._root,
            home=self._context.home,
            endpoint_url=None if self._kind.is_isolated(document) else self._context.backplane.endpoint_url,
            region=self._context.backplane.region,
            own=image.environment | self._kind.environment(document),
        )
        container = Container(argv, folder=image.folder, environment=environment, log=self._log)
        try:
            self._record["process"] = container.identity
            self._change(self._record, {}, secondary="Training")
            return self._watch(container, s3)
        finally:
            container.kill()

    def _watch(self, container: Container, s3: Any) -> int | None:
        deadline = time.monotonic() + self._kind.maximum_seconds(self._record["document"])
        next_visit = time.monotonic() + self._context.limits.checkpoint_interval
        while True:
            exit_code = container.wait(_POLL_SECONDS)
            if exit_code is not None:
                return exit_code
            if self._closing.is_set():
                raise JobInterruptedError
            self._overran = time.monotonic() >= deadline
            if self._overran or self._stop.is_set():
                self._make_stop(container)
                return None
            if time.monotonic() >= next_visit:
                self._kind.while_running(s3, self._record["document"], self._root)
                next_visit = time.monotonic() + self._context.limits.checkpoint_interval

    def _make_stop(self, container: Container) -> None:
        container.terminate()
        deadline = time.monotonic() + self._context.limits.stop_grace
        while container.wait(_POLL_SECONDS) is None and time.monotonic() < deadline:
            if self._closing.is_set():
                raise JobInterruptedError

    def _publish_log(self) -> None:
        """Put the log into CloudWatch Logs. A local cloud without that service keeps the file only."""
        if self.interrupted or not self._log.is_file():
            return
        group, stream = self._kind.names.log_group, f"{self._name}/algo-1-{int(now())}"
        moment = int(now() * 1000)
        lines = self._log.read_text(errors="replace").splitlines()
        entries = [{"timestamp": moment, "message": line[:8000]} for line in lines if line.strip()]
        try:
            logs = self._context.backplane.aws("logs")
            try:
                logs.create_log_group(logGroupName=group)
            except logs.exceptions.ResourceAlreadyExistsException:
                log.debug("log group is there", extra={"group": group})
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            for start in range(0, len(entries), _LOG_BATCH):
                batch = entries[start : start + _LOG_BATCH]
                logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=batch)
        except (ClientError, BotoCoreError) as error:
            log.warning("log not put to CloudWatch Logs", extra={"job": self._name, "error": str(error)})
