"""What each type of step does, behind one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from localcloud.sagemaker.arns import new_id
from localcloud.sagemaker.conditions import are_met
from localcloud.sagemaker.definition import CREATED_BY, Step
from localcloud.sagemaker.errors import ServiceError, StepFailedError
from localcloud.sagemaker.jobs import Jobs
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.registry import Registry
from localcloud.sagemaker.resolve import Resolver
from localcloud.sagemaker.shapes import check_request


@dataclass(slots=True)
class Started:
    """What became of a step when it started. ``job``: (kind, name) of a job that is now under way.

    ``describe``: (resource kind, name) that answers the step's properties. ``failure``: the step ended as failed.
    """

    metadata: dict[str, Any]
    job: tuple[str, str] | None = None
    describe: tuple[str, str] | None = None
    outcome: bool | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A step whose expressions are resolved (this reads S3): ``commit`` writes, and belongs in a transaction."""

    commit: Callable[[], Started]


@dataclass(frozen=True, slots=True)
class Executors:
    """One method per step type. All raise StepFailedError with the step's FailureReason."""

    jobs: Jobs
    registry: Registry
    models: Models
    _table: dict[str, Callable[[Step, dict[str, Any], Resolver], Prepared]] = field(init=False)

    def __post_init__(self) -> None:
        table = {
            "Processing": self._job,
            "Training": self._job,
            "Condition": self._condition,
            "RegisterModel": self._register,
            "Model": self._model,
            "Fail": self._fail,
        }
        object.__setattr__(self, "_table", table)

    def prepare(self, step: Step, execution: dict[str, Any], resolver: Resolver) -> Prepared:
        """Resolve the step's arguments and check them. Raises StepFailedError."""
        return self._table[step.type](step, execution, resolver)

    def _job(self, step: Step, execution: dict[str, Any], resolver: Resolver) -> Prepared:
        kind = f"{step.type}Job"
        request = self._request(step, execution, resolver)
        owner = {"execution": execution["arn"], "step": step.name}

        def commit() -> Started:
            with _StepFailure():
                document = self.jobs.create(kind, request, owner)
            name = document[f"{kind}Name"]
            return Started({kind: {"Arn": document[f"{kind}Arn"]}}, job=(kind, name), describe=(kind, name))

        return Prepared(commit)

    def _register(self, step: Step, execution: dict[str, Any], resolver: Resolver) -> Prepared:
        request = self._request(step, execution, resolver)
        request.pop("ModelPackageName", None)
        # The service notes which execution made the version (developer guide, model package event).
        request.setdefault("MetadataProperties", {}).setdefault("GeneratedBy", execution["arn"])

        def commit() -> Started:
            with _StepFailure():
                document = self.registry.create(request, with_group=True)
            arn = document["ModelPackageArn"]
            return Started({"RegisterModel": {"Arn": arn}}, describe=("RegisterModel", arn))

        return Prepared(commit)

    def _model(self, step: Step, execution: dict[str, Any], resolver: Resolver) -> Prepared:
        request = self._request(step, execution, resolver)

        def commit() -> Started:
            with _StepFailure():
                document = self.models.create(request)
            return Started({"Model": {"Arn": document["ModelArn"]}}, describe=("Model", document["ModelName"]))

        return Prepared(commit)

    def _condition(self, step: Step, execution: dict[str, Any], resolver: Resolver) -> Prepared:
        met = are_met(resolver.resolve(step.arguments["Conditions"]))
        return Prepared(lambda: Started({"Condition": {"Outcome": "True" if met else "False"}}, outcome=met))

    def _fail(self, step: Step, execution: dict[str, Any], resolver: Resolver) -> Prepared:
        message = str(resolver.resolve(step.arguments.get("ErrorMessage", "")))[:3072]  # shape String3072
        return Prepared(lambda: Started({"Fail": {"ErrorMessage": message}}, failure=message))

    def _request(self, step: Step, execution: dict[str, Any], resolver: Resolver) -> dict[str, Any]:
        """The Create request of a step: named by the service, and valid in the shape's own terms."""
        operation, generated = CREATED_BY[step.type]
        request: dict[str, Any] = resolver.resolve(step.arguments)
        if generated != "ModelPackageName":
            request[generated] = job_name(execution["id"], step.name, request.get(generated))
        try:
            check_request(operation, request)
        except ServiceError as error:
            raise StepFailedError(f"ClientError: {error.message}") from error
        return request


class _StepFailure:
    """A refusal by the API that a step calls is the step's failure."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ServiceError):
            raise StepFailedError(f"ClientError: {error.message}") from error


def job_name(execution_id: str, step_name: str, prefix: str | None = None) -> str:
    """``pipelines-<execution>-<step>-<10 random>`` in 63 characters, as the service names what a step makes."""
    first = f"{prefix[:20].rstrip('-')}-{execution_id}" if prefix else f"pipelines-{execution_id}"
    middle = "".join(c if c.isalnum() else "-" for c in step_name)[: 63 - len(first) - 12].strip("-")
    return "-".join(part for part in (first, middle, new_id(10)) if part)
