"""Run-time settings: one frozen object per deployable, built once in its entry point from the environment.

``names()`` gives infra and the local cloud the variables to set; they must not validate values, which are tokens at
synthesis time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from ahiflow.errors import ConfigurationError


class EnvSettings(BaseModel):
    """Settings of one deployable, one field per environment variable: ``PREFIX + FIELD_NAME`` in upper case."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    prefix: ClassVar[str] = ""

    @classmethod
    def names(cls) -> frozenset[str]:
        """Names of every variable that is read."""
        return frozenset(cls._variable(field) for field in cls.model_fields)

    @classmethod
    def required_names(cls) -> frozenset[str]:
        """Names of the variables that have no default."""
        return frozenset(cls._variable(name) for name, field in cls.model_fields.items() if field.is_required())

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Build once, in the entry point. Raises ConfigurationError naming every missing or malformed variable."""
        present = {f: environ[cls._variable(f)] for f in cls.model_fields if cls._variable(f) in environ}
        try:
            return cls.model_validate(present)
        except ValidationError as error:
            raise ConfigurationError(cls._explain(error)) from error

    @classmethod
    def _variable(cls, field: str) -> str:
        return cls.prefix + field.upper()

    @classmethod
    def _explain(cls, error: ValidationError) -> str:
        missing, malformed = [], []
        for detail in error.errors(include_input=False, include_url=False):
            variable = cls._variable(str(detail["loc"][0]))
            if detail["type"] == "missing":
                missing.append(variable)
            else:
                malformed.append(f"{variable}: {detail['msg']}")
        return "; ".join([*malformed, *([cls._say_missing(missing)] if missing else [])])

    @classmethod
    def _say_missing(cls, variables: list[str]) -> str:
        return "; ".join(f"{variable} is not set" for variable in variables)


class PersonSettings(EnvSettings):
    """Settings of a command that a person types: what is missing is said with what sets it."""

    prefix: ClassVar[str] = "AHIFLOW_"

    @classmethod
    def _say_missing(cls, variables: list[str]) -> str:
        others = f" (and {len(variables) - 1} more of its kind)" if len(variables) > 1 else ""
        return (
            f'{variables[0]} is not set{others}: run `eval "$(ahiflow env)"` first, or, against AWS, see docs/deploy.md'
        )


class StartImportSettings(EnvSettings):
    """Settings of the start_import function."""

    ledger_table_name: str
    ingest_bucket_name: str
    artifacts_bucket_name: str
    datastore_id: str
    import_role_arn: str


class RecordImportSettings(EnvSettings):
    """Settings of the record_import function."""

    ledger_table_name: str
    ingest_bucket_name: str
    datastore_id: str


class StartPipelineSettings(EnvSettings):
    """Settings of the start_pipeline function."""

    ledger_table_name: str
    datastore_id: str
    pipeline_name: str
    start_non_primary: bool = True


class DeployModelSettings(EnvSettings):
    """Settings of the deploy_model function. ``approval_key_id`` is the KMS key that verifies approvals."""

    ledger_table_name: str
    artifacts_bucket_name: str
    model_package_group_name: str
    endpoint_name: str
    serving_role_arn: str
    inference_instance_type: str
    approval_key_id: str


class ReconcileSettings(EnvSettings):
    """Settings of the reconcile function."""

    ledger_table_name: str
    ingest_bucket_name: str
    artifacts_bucket_name: str
    datastore_id: str
    import_role_arn: str
    pipeline_name: str
    start_non_primary: bool = True


# Settings of each of ahiflow.routes.FUNCTIONS.
FUNCTION_SETTINGS: Final[Mapping[str, type[EnvSettings]]] = {
    "start_import": StartImportSettings,
    "record_import": RecordImportSettings,
    "start_pipeline": StartPipelineSettings,
    "deploy_model": DeployModelSettings,
    "reconcile": ReconcileSettings,
}


class StoreScpSettings(EnvSettings):
    """Settings of the Storage SCP. ``stop_timeout_seconds`` stays under Fargate's stop time-out (120 s)."""

    ingest_bucket_name: str
    called_ae_title: str = "AHIFLOW"
    dicom_host: str = "127.0.0.1"
    dicom_port: int = 11112
    require_called_ae_title: bool = False
    maximum_associations: int = 64
    maximum_pdu_bytes: int = 131_072
    idle_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 100.0


class FetcherSettings(EnvSettings):
    """Settings of the fetcher container. ``max_frames_per_imageset`` 0 = all; more frames than that fails."""

    artifacts_bucket_name: str
    pseudonym_secret_id: str
    max_frames_per_imageset: int = 0
    output_format: Literal["npy", "nifti", "raw", "npy,nifti"] = "npy,nifti"
    frames_in_flight: int = 32


class FetchCommandSettings(PersonSettings):
    """What `ahiflow fetch` needs, so that it works where only HealthImaging is deployed. See CommandSettings."""

    pseudonym_secret_id: str
    datastore_id: str = ""


class CommandSettings(PersonSettings):
    """What the ``ahiflow`` command needs; `eval "$(ahiflow env)"` sets it, or the outputs of the deployed stacks."""

    datastore_id: str
    ingest_bucket_name: str
    artifacts_bucket_name: str
    ledger_table_name: str
    pipeline_name: str
    model_package_group_name: str
    endpoint_name: str
    approval_key_id: str
    pseudonym_secret_id: str
    dicom_host: str
    dicom_port: int
    called_ae_title: str
    queue_prefix: str
