"""What each function may do: exactly the calls that its code makes (design.md promise 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ahiflow import keys
from ahiflow.resource_names import ResourceNames
from config import StageConfig
from infra.constructs.permissions import Permission
from infra.names import names_of


@dataclass(frozen=True, slots=True)
class Deployed:
    """What the names do not say."""

    config: StageConfig
    datastore_id: str
    data_key_arn: str
    approval_key_arn: str

    @property
    def names(self) -> ResourceNames:
        """Names of what is deployed."""
        return names_of(self.config)


def start_import(deployed: Deployed) -> list[Permission]:
    """Read a batch manifest, start its import job, note it."""
    return [
        *_ledger(deployed),
        _read(deployed, "ingest", keys.BATCHES),
        _list(deployed, "ingest"),
        *_start_import_job(deployed),
        _decrypt(deployed),
    ]


def record_import(deployed: Deployed) -> list[Permission]:
    """Read an ended job, its output and its batch, note what became of every instance."""
    return [
        *_ledger(deployed),
        _read(deployed, "ingest", keys.BATCHES),
        _read(deployed, "artifacts", keys.IMPORTS),
        _list(deployed, "ingest", "artifacts"),
        *_read_import_jobs(deployed),
        _decrypt(deployed),
    ]


def start_pipeline(deployed: Deployed) -> list[Permission]:
    """Start one execution for an image set version, note it."""
    return [*_ledger(deployed), _start_execution(deployed)]


def deploy_model(deployed: Deployed) -> list[Permission]:
    """Verify an approval against its artefact, make a model and put it on the endpoint."""
    names, config = deployed.names, deployed.config
    group, endpoint = config.model_package_group_name, config.endpoint_name
    endpoint_arn = names.sagemaker_arn("endpoint", endpoint)
    configs = names.sagemaker_arn("endpoint-config", f"{endpoint}-*")
    models = names.sagemaker_arn("model", f"{endpoint}-*")
    each_model = "one model and one endpoint configuration for each approved model package"
    return [
        *_ledger(deployed),
        _read(deployed, "artifacts", keys.APPROVALS),
        _read(deployed, "artifacts", keys.EXECUTIONS),
        _list(deployed, "artifacts"),
        Permission(["kms:Verify"], [deployed.approval_key_arn]),
        _decrypt(deployed),
        Permission(
            ["sagemaker:DescribeModelPackage"],
            [names.sagemaker_arn("model-package", f"{group}/*")],
            "versions of one model package group",
        ),
        Permission(["sagemaker:CreateModel"], [models], each_model),
        Permission(["sagemaker:CreateEndpointConfig"], [configs], each_model),
        Permission(
            ["sagemaker:CreateEndpoint", "sagemaker:UpdateEndpoint"],
            [endpoint_arn, configs],
            each_model,
        ),
        Permission(["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint"], [endpoint_arn]),
        _pass("serving", "sagemaker.amazonaws.com", deployed),
    ]


def reconcile(deployed: Deployed) -> list[Permission]:
    """All that the event-driven functions before it may do, and to list what there is."""
    names = deployed.names
    return [
        *_ledger(deployed),
        _read(deployed, "ingest", keys.BATCHES),
        _read(deployed, "artifacts", keys.IMPORTS),
        _read(deployed, "artifacts", keys.EXECUTIONS),
        _list(deployed, "ingest", "artifacts"),
        *_start_import_job(deployed),
        *_read_import_jobs(deployed),
        Permission(["medical-imaging:ListDICOMImportJobs"], [names.datastore_arn(deployed.datastore_id)]),
        _start_execution(deployed),
        Permission(["sagemaker:ListPipelineExecutions"], [names.pipeline_arn]),
        Permission(
            ["sagemaker:DescribePipelineExecution", "sagemaker:ListPipelineExecutionSteps"],
            [f"{names.pipeline_arn}/execution/*"],
            "executions of one pipeline",
        ),
        _decrypt(deployed),
    ]


PERMISSIONS: Final[Mapping[str, Callable[[Deployed], list[Permission]]]] = {
    "start_import": start_import,
    "record_import": record_import,
    "start_pipeline": start_pipeline,
    "deploy_model": deploy_model,
    "reconcile": reconcile,
}


def _ledger(deployed: Deployed) -> list[Permission]:
    table, index = deployed.names.table_arns()
    actions = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
    return [Permission(actions, [table]), Permission(["dynamodb:Query"], [index])]


def _read(deployed: Deployed, bucket: str, prefix: str) -> Permission:
    names = deployed.names
    name = names.ingest_bucket if bucket == "ingest" else names.artifacts_bucket
    return Permission(["s3:GetObject"], [names.bucket_arn(name, f"{prefix}*")], f"objects under {prefix} of one bucket")


def _list(deployed: Deployed, *buckets: str) -> Permission:
    """Without it S3 answers a key that is not there (yet) with 403, and a late manifest looks like a refusal."""
    names = deployed.names
    found = [names.ingest_bucket if bucket == "ingest" else names.artifacts_bucket for bucket in buckets]
    return Permission(["s3:ListBucket"], [names.bucket_arn(name) for name in found])


def _decrypt(deployed: Deployed) -> Permission:
    return Permission(["kms:Decrypt"], [deployed.data_key_arn])


def _start_import_job(deployed: Deployed) -> list[Permission]:
    datastore = deployed.names.datastore_arn(deployed.datastore_id)
    return [
        Permission(["medical-imaging:StartDICOMImportJob"], [datastore]),
        _pass("import", "medical-imaging.amazonaws.com", deployed),
    ]


def _read_import_jobs(deployed: Deployed) -> list[Permission]:
    datastore = deployed.names.datastore_arn(deployed.datastore_id)
    return [Permission(["medical-imaging:GetDICOMImportJob"], [datastore])]


def _start_execution(deployed: Deployed) -> Permission:
    return Permission(["sagemaker:StartPipelineExecution"], [deployed.names.pipeline_arn])


def _pass(role: str, service: str, deployed: Deployed) -> Permission:
    condition = {"StringEquals": {"iam:PassedToService": service}}
    return Permission(["iam:PassRole"], [deployed.names.role_arn(role)], conditions=condition)
