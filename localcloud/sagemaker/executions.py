"""Executions: a state machine on disk, moved on by a few threads; the jobs run elsewhere and report here."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ahiflow.errors import ConfigurationError
from ahiflow.s3uri import S3Uri
from localcloud.sagemaker import events
from localcloud.sagemaker.context import Context, now
from localcloud.sagemaker.definition import Definition, Step, parse_definition
from localcloud.sagemaker.errors import StepFailedError
from localcloud.sagemaker.executors import Executors
from localcloud.sagemaker.jobs import TERMINAL, Jobs
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.plan import ACTIVE, ready_steps
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.resolve import Resolver

log = logging.getLogger(__name__)

KIND = "PipelineExecution"
RUNNING = frozenset({"Executing", "Stopping"})
_DEFINITION = "PipelineDefinition"
_STEP_FAILURE = "Step failure: One or multiple steps failed."
_THREADS = 2
_MAXIMUM_RERUNS = 1  # of a step whose job a restart of the local cloud cut off


class Executions:
    """Runs executions. Their records hold the state of every step that has started."""

    def __init__(self, context: Context, jobs: Jobs, registry: Registry, models: Models) -> None:
        self._context = context
        self._store = context.store
        self._jobs = jobs
        self._registry = registry
        self._models = models
        self._executors = Executors(jobs, registry, models)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="sagemaker-executions")
        self._started = False
        self._closing = False
        self._locks: dict[str, threading.Lock] = {}
        self._locks_lock = threading.Lock()
        jobs.on_end = lambda record: self._look_at(record["owner"]["execution"])

    def start(self) -> None:
        """Begin; every execution that was under way is looked at again."""
        with self._store.transaction():
            self._started = True
            for execution in self._store.all(KIND):
                if execution["status"] in RUNNING:
                    self._look_at(execution["arn"])

    def close(self) -> None:
        """Stop moving executions on."""
        self._closing = True
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _look_at(self, arn: str) -> None:
        if self._started and not self._closing:
            self._pool.submit(self._work, arn).add_done_callback(lambda future: self._note_defect(arn, future))

    def add(self, execution: dict[str, Any], definition: str) -> None:
        """Record a new execution and move it on."""
        digest = hashlib.sha256(definition.encode()).hexdigest()
        with self._store.transaction():
            self._store.put(_DEFINITION, digest, {"text": definition})
            execution |= {"definition": digest, "steps": {}, "status": "Executing", "updated": execution["created"]}
            self._store.put(KIND, execution["arn"], execution, parent=execution["pipeline_name"])
            events.execution_changed(self._store, execution, None)
        self._context.outbox.wake()
        self._look_at(execution["arn"])

    def definition(self, execution: Mapping[str, Any]) -> str:
        """The definition that the execution runs, whatever became of the pipeline since."""
        document = self._store.get(_DEFINITION, execution["definition"])
        assert document is not None, "written in one transaction with the execution"
        return str(document["text"])

    def stop(self, arn: str) -> None:
        """Start no further step, stop the jobs that run; the execution ends as Stopped."""
        with self._store.transaction():
            execution = self._load(arn)
            self._set_status(execution, "Stopping")
        self._stop_jobs(execution)
        self._look_at(arn)

    def retry(self, arn: str) -> None:
        """Run the steps again that failed or were stopped, and what comes after them; what succeeded stays."""
        with self._store.transaction():
            execution = self._load(arn)
            for step in execution["steps"].values():
                if step["status"] in ("Failed", "Stopped"):
                    _again(step)
            execution.pop("reason", None)
            self._set_status(execution, "Executing")
        self._look_at(arn)

    def _work(self, arn: str) -> None:
        with self._locks_lock:
            lock = self._locks.setdefault(arn, threading.Lock())
        with lock:
            self._advance(arn)

    def _note_defect(self, arn: str, future: Future[None]) -> None:
        """A defect of the local cloud must not leave an execution Executing for ever."""
        error = None if future.cancelled() else future.exception()
        if error is None or self._closing:
            return
        log.error("an execution was failed by a defect of the local cloud", exc_info=error)
        with self._store.transaction():
            execution = self._load(arn)
            if execution["status"] in RUNNING:
                execution["reason"] = "InternalServerError: the local cloud failed, see its log"
                self._set_status(execution, "Failed")

    def _advance(self, arn: str) -> None:
        """Bring the execution as far as it goes without waiting."""
        execution = self._load(arn)
        if execution["status"] not in RUNNING:
            return
        definition = parse_definition(self.definition(execution))
        moved = True
        while moved:
            self._note_ended_jobs(execution, definition)
            moved = False
            for step in self._startable(execution, definition):
                self._begin(execution, definition, step)
                moved = moved or execution["steps"][step.name]["status"] not in ACTIVE
            execution["status"] = self._load(arn)["status"]
        if execution["status"] == "Stopping":
            self._stop_jobs(execution)
        if not any(step["status"] in ACTIVE for step in execution["steps"].values()):
            self._finish(execution)

    def _startable(self, execution: dict[str, Any], definition: Definition) -> list[Step]:
        states = {name: step for name, step in execution["steps"].items() if step["status"] != "Retry"}
        failed = any(step["status"] in ("Failed", "Stopped") for step in states.values())
        if execution["status"] != "Executing" or failed:
            return []
        ready = ready_steps(definition, states)
        limit = execution.get("parallelism")
        if limit is None:
            return ready
        return ready[: max(0, limit - sum(step["status"] in ACTIVE for step in states.values()))]

    def _begin(self, execution: dict[str, Any], definition: Definition, step: Step) -> None:
        before = execution["steps"].get(step.name, {})
        state = {
            "name": step.name,
            "status": "Starting",
            "started": now(),
            "attempts": before.get("attempts", 0) + 1,
            "reruns": before.get("reruns", 0),
            "metadata": {},
        }
        execution["steps"][step.name] = state
        self._save_step(execution, step, state, None)
        try:
            self._context.faults.before_step(step.name)
            prepared = self._executors.prepare(step, execution, self._resolver(execution, definition))
            with self._store.transaction():  # what the step makes, and that it made it: both or neither
                started = prepared.commit()
                state |= {"metadata": started.metadata, "describe": started.describe, "job": started.job}
                if started.outcome is not None:
                    state["outcome"] = started.outcome
                state["status"] = "Executing"
                self._save_step(execution, step, state, "Starting")
                if started.failure is not None:
                    self._end_step(execution, step, "Failed", started.failure)
                elif started.job is None:
                    self._end_step(execution, step, "Succeeded")
        except StepFailedError as error:
            self._end_step(execution, step, "Failed", str(error))

    def _note_ended_jobs(self, execution: dict[str, Any], definition: Definition) -> None:
        for name, state in execution["steps"].items():
            if state["status"] not in ACTIVE:
                continue
            step = definition.steps[name]
            if not state.get("job"):  # cut off between Starting and its commit: nothing was made
                _again(state)
                continue
            kind, job_name = state["job"]
            record = self._store.get(kind, job_name.lower())
            assert record is not None, "jobs are never deleted"
            status = record["document"][f"{kind}Status"]
            if status not in TERMINAL:
                continue
            if record.get("interrupted") and state["reruns"] < _MAXIMUM_RERUNS and execution["status"] == "Executing":
                state["reruns"] += 1
                _again(state)
            elif status == "Completed":
                self._end_step(execution, step, "Succeeded")
            elif status == "Stopped" and execution["status"] == "Stopping":
                self._end_step(execution, step, "Stopped")
            else:
                reason = record["document"].get("FailureReason", f"{kind} {job_name} was stopped")
                told = reason.startswith(("ClientError:", "InternalServerError:"))
                self._end_step(execution, step, "Failed", reason if told else f"ClientError: {reason}")

    def _end_step(self, execution: dict[str, Any], step: Step, status: str, reason: str | None = None) -> None:
        state = execution["steps"][step.name]
        previous = state["status"]
        state |= {"status": status, "ended": now()}
        if reason is not None:
            state["reason"] = reason[:1024]  # shape FailureReason
        self._save_step(execution, step, state, previous)

    def _save_step(self, execution: dict[str, Any], step: Step, state: dict[str, Any], previous: str | None) -> None:
        with self._store.transaction():
            execution["status"] = self._load(execution["arn"])["status"]  # StopPipelineExecution may have come
            execution["updated"] = now()
            self._store.put(KIND, execution["arn"], execution)
            events.step_changed(self._store, execution, state, step.type, previous)
        self._context.outbox.wake()

    def _finish(self, execution: dict[str, Any]) -> None:
        failed = [step for step in execution["steps"].values() if step["status"] == "Failed"]
        with self._store.transaction():
            execution["status"] = self._load(execution["arn"])["status"]  # StopPipelineExecution may have come
            if execution["status"] == "Stopping":
                self._set_status(execution, "Stopped")
            elif failed:
                told = [step["metadata"]["Fail"]["ErrorMessage"] for step in failed if "Fail" in step["metadata"]]
                execution["reason"] = (told[0] if told and told[0] else _STEP_FAILURE)[:3072]
                self._set_status(execution, "Failed")
            else:
                self._set_status(execution, "Succeeded")

    def _set_status(self, execution: dict[str, Any], status: str) -> None:
        previous = execution["status"]
        execution |= {"status": status, "updated": now()}
        with self._store.transaction():
            self._store.put(KIND, execution["arn"], execution)
            events.execution_changed(self._store, execution, previous)
        self._context.outbox.wake()

    def _stop_jobs(self, execution: Mapping[str, Any]) -> None:
        for step in execution["steps"].values():
            if step["status"] in ACTIVE and step.get("job"):
                self._jobs.stop(*step["job"])

    def _load(self, arn: str) -> dict[str, Any]:
        execution = self._store.get(KIND, arn)
        assert execution is not None, "executions are never deleted"
        return execution

    def _resolver(self, execution: dict[str, Any], definition: Definition) -> Resolver:
        def describe(step_name: str) -> Mapping[str, Any]:
            kind, name = execution["steps"][step_name]["describe"]
            answers: dict[str, Callable[[str], dict[str, Any]]] = {
                "RegisterModel": self._registry.package,
                "Model": self._models.model,
            }
            return answers[kind](name) if kind in answers else self._jobs.document(kind, name)

        def property_file(step_name: str, file_name: str) -> Any:
            output_name, path = definition.steps[step_name].property_files[file_name]
            outputs = describe(step_name)["ProcessingOutputConfig"]["Outputs"]
            uri = next(output["S3Output"]["S3Uri"] for output in outputs if output["OutputName"] == output_name)
            return self._json_at(f"{uri.rstrip('/')}/{path}")

        def outcome(step_name: str) -> str:
            return "True" if execution["steps"][step_name]["outcome"] else "False"

        variables = {
            "StartDateTime": events.iso(execution["created"]),
            "CurrentDateTime": events.iso(now()),
            "PipelineName": execution["pipeline_name"],
            "PipelineArn": execution["pipeline_arn"],
            "PipelineExecutionId": execution["id"],
            "PipelineExecutionArn": execution["arn"],
        }
        return Resolver(execution["values"], variables, describe, outcome, property_file, self._json_at)

    def _json_at(self, uri: str) -> Any:
        try:
            location = S3Uri.parse(uri)
            body = self._context.backplane.aws("s3").get_object(Bucket=location.bucket, Key=location.key)["Body"].read()
            return json.loads(body)
        except (ClientError, BotoCoreError, ConfigurationError, ValueError) as error:
            raise StepFailedError(f"ClientError: Unable to read the JSON file {uri}: {error}") from error


def _again(step: dict[str, Any]) -> None:
    """Mark a step to be started once more; nothing is left of how it ended."""
    step["status"] = "Retry"
    step.pop("ended", None)
    step.pop("reason", None)
