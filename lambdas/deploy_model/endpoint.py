"""The one endpoint, made to serve a model package. Names are derived from the package: doing it twice is once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from ahiflow.aws_errors import translated
from ahiflow.errors import InvalidRequestError, NotYetConsistentError, WorkFailedError
from ahiflow.registry import ModelPackage
from ahiflow.spine.service_calls import quotas_pass

_CODE: Final = "ValidationException"  # SageMaker has no code of its own for "exists" and "does not exist"
_EXISTS: Final = "already existing"
_ABSENT: Final = "Could not find"
_CHANGING: Final = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
_LONGEST_NAME: Final = 63  # shapes ModelName, EndpointConfigName


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``sagemaker`` is a boto3 client. Names of models and configurations start with the endpoint's."""

    sagemaker: Any
    name: str
    serving_role_arn: str
    instance_type: str

    def serve(self, package: ModelPackage, *, was_started: bool) -> bool:
        """Have the endpoint serve the package; whether it does so already. ``was_started``: an earlier call began it.

        Raises NotYetConsistentError while the endpoint is changing to something else (the same call comes later),
        WorkFailedError when it failed or went back to what it served before.
        """
        name = self._derived_name(package)
        self._create_model(name, package)
        self._create_config(name)
        now = self._describe()
        if now is None:
            with quotas_pass(f"endpoint {self.name}"):
                self.sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=name)
            return False
        status, serves_it = now["EndpointStatus"], now["EndpointConfigName"] == name
        if serves_it and status in ("Creating", "InService"):
            return bool(status == "InService")
        if status in _CHANGING:
            raise NotYetConsistentError(f"endpoint {self.name} is {status}")
        reason = now.get("FailureReason", "no reason given")
        if status != "InService":  # the service updates only an endpoint that is in service
            raise WorkFailedError(f"endpoint {self.name} is {status} ({reason}): delete it, then approve again")
        if was_started:
            raise WorkFailedError(f"endpoint {self.name} went back to what it served before ({reason})")
        with quotas_pass(f"endpoint {self.name}"):
            self.sagemaker.update_endpoint(EndpointName=self.name, EndpointConfigName=name)
        return False

    def withdraw(self, package: ModelPackage) -> None:
        """Delete the endpoint if it serves the package; another package's is left alone, and so is none.

        Raises NotYetConsistentError while the endpoint is changing: the service deletes only one that stands still.
        """
        now = self._describe()
        if now is None or now["EndpointConfigName"] != self._derived_name(package):
            return
        if now["EndpointStatus"] in _CHANGING:
            raise NotYetConsistentError(f"endpoint {self.name} is {now['EndpointStatus']}")
        with translated(f"endpoint {self.name}"):
            self.sagemaker.delete_endpoint(EndpointName=self.name)

    def _derived_name(self, package: ModelPackage) -> str:
        digest = hashlib.sha256(f"{package.arn} {self.serving_role_arn} {self.instance_type}".encode()).hexdigest()[:12]
        suffix = f"-{package.version}-{digest}"
        return self.name[: _LONGEST_NAME - len(suffix)] + suffix

    def _create_model(self, name: str, package: ModelPackage) -> None:
        try:
            with quotas_pass(f"model {name}"):
                self.sagemaker.create_model(
                    ModelName=name,
                    ExecutionRoleArn=self.serving_role_arn,
                    PrimaryContainer={"ModelPackageName": package.arn},
                    EnableNetworkIsolation=True,
                )
        except InvalidRequestError as error:
            if not _says(error, _EXISTS):
                raise

    def _create_config(self, name: str) -> None:
        variant = {
            "VariantName": "primary",
            "ModelName": name,
            "InstanceType": self.instance_type,
            "InitialInstanceCount": 1,
        }
        try:
            with quotas_pass(f"endpoint configuration {name}"):
                self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
        except InvalidRequestError as error:
            if not _says(error, _EXISTS):
                raise

    def _describe(self) -> dict[str, Any] | None:
        try:
            with translated(f"endpoint {self.name}"):
                found: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=self.name)
        except InvalidRequestError as error:
            if _says(error, _ABSENT):
                return None
            raise
        return found


def _says(error: InvalidRequestError, what: str) -> bool:
    cause = error.__cause__
    return isinstance(cause, ClientError) and cause.response["Error"]["Code"] == _CODE and what in str(cause)
