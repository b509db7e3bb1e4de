"""Pipeline parameters (design.md section 6; names in :mod:`ahiflow.pipeline_contract`)."""

from __future__ import annotations

from dataclasses import dataclass

from sagemaker.core.workflow.parameters import Parameter, ParameterFloat, ParameterInteger, ParameterString

from ahiflow import pipeline_contract as contract
from config import StageConfig

APPROVAL_STATUSES = ["PendingManualApproval", "Approved", "Rejected"]  # shape ModelApprovalStatus
OUTPUT_FORMATS = ["npy", "nifti", "raw", "npy,nifti"]  # ahiflow.settings.FetcherSettings


@dataclass(frozen=True, slots=True)
class PipelineParameters:
    """Every parameter of the pipeline, by what it is."""

    image_set_id: ParameterString
    datastore_id: ParameterString
    image_set_version_id: ParameterString
    model_approval_status: ParameterString
    processing_instance_type: ParameterString
    training_instance_type: ParameterString
    max_frames: ParameterInteger
    output_format: ParameterString
    minimum_roc_auc: ParameterFloat

    def all(self) -> list[Parameter]:
        """Parameters in the order of the definition."""
        return [getattr(self, name) for name in self.__slots__]


def build_parameters(defaults: StageConfig) -> PipelineParameters:
    """Build the parameters. ImageSetId and DatastoreId have no default: an execution without them cannot start."""
    return PipelineParameters(
        image_set_id=ParameterString(contract.PARAMETER_IMAGE_SET_ID),
        datastore_id=ParameterString(contract.PARAMETER_DATASTORE_ID),
        image_set_version_id=ParameterString(contract.PARAMETER_IMAGE_SET_VERSION_ID, contract.LATEST_VERSION),
        model_approval_status=ParameterString(
            contract.PARAMETER_MODEL_APPROVAL_STATUS, APPROVAL_STATUSES[0], enum_values=APPROVAL_STATUSES
        ),
        processing_instance_type=ParameterString(
            contract.PARAMETER_PROCESSING_INSTANCE_TYPE, defaults.processing_instance_type
        ),
        training_instance_type=ParameterString(
            contract.PARAMETER_TRAINING_INSTANCE_TYPE, defaults.training_instance_type
        ),
        max_frames=ParameterInteger(contract.PARAMETER_MAX_FRAMES, defaults.max_frames_per_imageset),
        output_format=ParameterString(
            contract.PARAMETER_OUTPUT_FORMAT, defaults.output_format, enum_values=OUTPUT_FORMATS
        ),
        minimum_roc_auc=ParameterFloat(contract.PARAMETER_MINIMUM_ROC_AUC, defaults.minimum_roc_auc),
    )
