"""What a kind of job must say of itself so that the runner can run it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from localcloud.sagemaker.images import Image, Images


@dataclass(frozen=True, slots=True)
class JobNames:
    """How SageMaker names the fields of one kind of job."""

    kind: str  # "ProcessingJob": Create<kind>, <kind>Name, <kind>Arn, <kind>Status
    resource_type: str
    event: str
    log_group: str
    started: str
    ended: str

    @property
    def name(self) -> str:
        """Field of the name."""
        return f"{self.kind}Name"

    @property
    def arn(self) -> str:
        """Field of the ARN."""
        return f"{self.kind}Arn"

    @property
    def status(self) -> str:
        """Field of the status."""
        return f"{self.kind}Status"


class JobKind(Protocol):
    """Processing or training. Methods get the job's Describe document and its container root."""

    names: JobNames

    def check(self, request: dict[str, Any]) -> None:
        """Raise ValidationException for what the local cloud cannot honour."""

    def describe(self, request: dict[str, Any], arn: str) -> dict[str, Any]:
        """The Describe document of a job just created."""

    def stage(self, s3: Any, job: dict[str, Any], root: Path) -> None:
        """Lay out the container's file system and bring the inputs. Raises JobFailedError."""

    def image(self, images: Images, job: dict[str, Any]) -> Image:
        """The image to start. Raises JobFailedError."""

    def argv(self, image: Image, job: dict[str, Any], root: Path) -> list[str]:
        """What to start. Raises JobFailedError."""

    def environment(self, job: dict[str, Any]) -> dict[str, str]:
        """The job's own variables, which win over the image's."""

    def is_isolated(self, job: dict[str, Any]) -> bool:
        """EnableNetworkIsolation: the container reaches no service, AWS included."""

    def maximum_seconds(self, job: dict[str, Any]) -> float:
        """StoppingCondition, or the service's default."""

    def while_running(self, s3: Any, job: dict[str, Any], root: Path) -> None:
        """Called every few seconds."""

    def collect(self, s3: Any, job: dict[str, Any], root: Path, *, succeeded: bool, log: Path) -> dict[str, Any]:
        """Send the outputs; returns fields for the document. Raises JobFailedError."""

    def failure(self, root: Path, exit_code: int) -> str:
        """FailureReason of a container that ended with ``exit_code``."""
