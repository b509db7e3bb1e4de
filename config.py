"""Deploy-time configuration: the settings and their defaults, one frozen object per stage, and what follows from them.

Read by app.py, the local cloud and the rendering of the pipeline definition only. A setting that nothing reads is a
defect (tests/architecture checks it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ahiflow import pipeline_contract
from ahiflow.resource_names import ResourceNames


@dataclass(frozen=True, slots=True)
class StageConfig:
    """Everything that may differ between stages. Empty ``datastore_id`` or ``sagemaker_bucket_name``: create one."""

    stage: str
    stack_name: str = "ahiflow"
    deploy_region: str = "us-east-1"
    datastore_id: str = ""
    sagemaker_bucket_name: str = ""
    pipeline_name: str = "ahi-mlops-pipeline"
    model_package_group_name: str = "ahi-models"
    endpoint_name: str = "ahi-model"
    resource_prefix: str = "ahiflow"
    processing_instance_type: str = "ml.m5.large"
    training_instance_type: str = "ml.g5.xlarge"
    inference_instance_type: str = "ml.m5.large"
    training_use_spot: bool = True
    max_frames_per_imageset: int = 0
    output_format: str = "npy,nifti"
    minimum_roc_auc: float = 0.7
    start_non_primary: bool = True
    called_ae_title: str = "AHIFLOW"
    dicom_port: int = 11112
    storescp_cpu: int = 1024
    storescp_memory_mib: int = 2048
    storescp_tasks: int = 1
    allowed_dicom_cidrs: tuple[str, ...] = ("10.0.0.0/8",)
    retain_data: bool = True
    log_retention_days: int = 90


_DEV = StageConfig(stage="dev", retain_data=False, log_retention_days=14)

STAGES: dict[str, StageConfig] = {
    "local": replace(_DEV, stage="local"),
    "dev": _DEV,
    "staging": StageConfig(stage="staging"),
    "prod": StageConfig(stage="prod", storescp_tasks=2, log_retention_days=365),
}


def resource_names(config: StageConfig, *, account_id: str, partition: str) -> ResourceNames:
    """Names of what is deployed for a stage in an account."""
    return ResourceNames(
        resource_prefix=config.resource_prefix,
        region=config.deploy_region,
        account_id=account_id,
        partition=partition,
        sagemaker_bucket_name=config.sagemaker_bucket_name,
        pipeline_name=config.pipeline_name,
        model_package_group_name=config.model_package_group_name,
    )


def parameter_defaults(config: StageConfig) -> dict[str, str | int | float]:
    """Defaults of the pipeline parameters that the configuration sets."""
    return {
        pipeline_contract.PARAMETER_PROCESSING_INSTANCE_TYPE: config.processing_instance_type,
        pipeline_contract.PARAMETER_TRAINING_INSTANCE_TYPE: config.training_instance_type,
        pipeline_contract.PARAMETER_MAX_FRAMES: config.max_frames_per_imageset,
        pipeline_contract.PARAMETER_OUTPUT_FORMAT: config.output_format,
        pipeline_contract.PARAMETER_MINIMUM_ROC_AUC: config.minimum_roc_auc,
    }


def function_variables(
    config: StageConfig, names: ResourceNames, *, datastore_id: str, approval_key_id: str
) -> dict[str, str]:
    """Every value that a function of ahiflow.settings.FUNCTION_SETTINGS may need, by the variable's name."""
    return {
        "LEDGER_TABLE_NAME": names.ledger_table,
        "INGEST_BUCKET_NAME": names.ingest_bucket,
        "ARTIFACTS_BUCKET_NAME": names.artifacts_bucket,
        "DATASTORE_ID": datastore_id,
        "IMPORT_ROLE_ARN": names.role_arn("import"),
        "SERVING_ROLE_ARN": names.role_arn("serving"),
        "PIPELINE_NAME": config.pipeline_name,
        "START_NON_PRIMARY": str(config.start_non_primary).lower(),
        "MODEL_PACKAGE_GROUP_NAME": config.model_package_group_name,
        "ENDPOINT_NAME": config.endpoint_name,
        "INFERENCE_INSTANCE_TYPE": config.inference_instance_type,
        "APPROVAL_KEY_ID": approval_key_id,
    }
