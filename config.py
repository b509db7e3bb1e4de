"""Deploy-time configuration: the reference settings and their defaults, one frozen object per stage.

Read by app.py, the local cloud and the rendering of the pipeline definition only. A setting that nothing reads is a
defect (tests/architecture checks it).
"""

from __future__ import annotations

from dataclasses import dataclass, replace


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
