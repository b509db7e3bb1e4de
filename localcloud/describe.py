"""From what serves to :class:`ahiflow.environment.Environment` and to the receiver's environment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ahiflow.environment import STATE_VARIABLE, Environment
from ahiflow.errors import ConfigurationError
from ahiflow.settings import CommandSettings, StoreScpSettings
from localcloud.report import Deployment, Serving
from localcloud.shell import aws_variables

CLOUD: Final = "localcloud"
RECEIVER: Final = "storescp"
HOST: Final = "127.0.0.1"


def describe(serving: Serving, receiver: int, dicom_port: int, state: Path) -> Environment:
    """The environment description; ``shell`` has the AWS variables and every variable of CommandSettings."""
    deployment = deployment_of(serving)
    values = {
        **deployment.model_dump(exclude={"region", "ledger_table", "ingest_bucket", "artifacts_bucket"}),
        "ledger_table_name": deployment.ledger_table,
        "ingest_bucket_name": deployment.ingest_bucket,
        "artifacts_bucket_name": deployment.artifacts_bucket,
        "dicom_host": HOST,
        "dicom_port": str(dicom_port),
    }
    shell = {f"{CommandSettings.prefix}{name.upper()}": str(value) for name, value in values.items()}
    if shell.keys() != CommandSettings.names():
        raise ConfigurationError(f"CommandSettings changed: {sorted(shell.keys() ^ CommandSettings.names())}")
    return Environment(
        environment="local",
        endpoint_url=serving.endpoint_url,
        region=deployment.region,
        dicom_host=HOST,
        dicom_port=dicom_port,
        dicom_tls_port=None,
        called_ae_title=deployment.called_ae_title,
        datastore_id=deployment.datastore_id,
        ingest_bucket=deployment.ingest_bucket,
        artifacts_bucket=deployment.artifacts_bucket,
        pipeline_name=deployment.pipeline_name,
        processes={CLOUD: serving.pid, RECEIVER: receiver},
        shell={**aws_of(serving), **shell, STATE_VARIABLE: str(state)},
    )


def receiver_variables(serving: Serving, dicom_port: int) -> dict[str, str]:
    """Environment of the receiver: its settings and the AWS variables."""
    deployment = deployment_of(serving)
    variables = {
        "INGEST_BUCKET_NAME": deployment.ingest_bucket,
        "CALLED_AE_TITLE": deployment.called_ae_title,
        "DICOM_HOST": HOST,
        "DICOM_PORT": str(dicom_port),
    }
    if unknown := variables.keys() - StoreScpSettings.names():
        raise ConfigurationError(f"StoreScpSettings has no {sorted(unknown)}")
    return {**aws_of(serving), **variables}


def aws_of(serving: Serving) -> dict[str, str]:
    """Variables that point AWS clients at this local cloud."""
    return aws_variables(serving.endpoint_url, serving.account_id, deployment_of(serving).region)


def deployment_of(serving: Serving) -> Deployment:
    """What is deployed. Raises ConfigurationError when the cloud was started bare."""
    if serving.deployment is None:
        raise ConfigurationError("the local cloud here was started with --only-services: stop it first")
    return serving.deployment
