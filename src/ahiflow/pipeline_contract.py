"""What the pipeline definition, the step programs, the CDK app and the local cloud share. Standard library only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

# Steps (design.md section 6).
STEP_FETCH: Final = "FetchImageSet"
STEP_CURATE: Final = "CurateDataset"
STEP_TRAINING_NEEDED: Final = "TrainingNeeded"
STEP_TRAIN: Final = "TrainModel"
STEP_EVALUATE: Final = "EvaluateModel"
STEP_GATE: Final = "QualityGate"
STEP_REGISTER: Final = "RegisterModel"
STEP_REJECT: Final = "RejectModel"

# Pipeline parameters. The first two have no default: an execution without an image set must not be startable.
PARAMETER_IMAGE_SET_ID: Final = "ImageSetId"
PARAMETER_DATASTORE_ID: Final = "DatastoreId"
PARAMETER_IMAGE_SET_VERSION_ID: Final = "ImageSetVersionId"  # default "latest"
PARAMETER_MODEL_APPROVAL_STATUS: Final = "ModelApprovalStatus"  # default "PendingManualApproval"
LATEST_VERSION: Final = "latest"

# Placeholders of the rendered definition, ``${Name}``, filled by infra and by the local cloud.
PLACEHOLDERS: Final = (
    "PipelineRoleArn",
    "ArtifactsBucketName",
    "FetcherImageUri",
    "LearningImageUri",
    "PseudonymSecretId",
    "ModelPackageGroupName",
)

# Container images, and the folder (with its Dockerfile) that each is built from.
IMAGE_FETCHER: Final = "fetcher"
IMAGE_LEARNING: Final = "learning"
IMAGE_STORESCP: Final = "storescp"
IMAGE_FOLDERS: Final[Mapping[str, str]] = {
    IMAGE_FETCHER: "fetcher_image",
    IMAGE_LEARNING: "pipeline",
    IMAGE_STORESCP: "storescp",
}

# Where a container finds things. Step programs take every path from container_root(), so that the same program
# runs in a SageMaker container and, relocated, as a local subprocess. The only place that spells /opt/ml.
CONTAINER_ROOT_VARIABLE: Final = "AHIFLOW_CONTAINER_ROOT"
DEFAULT_CONTAINER_ROOT: Final = "/opt/ml"
PORT_VARIABLE: Final = "SAGEMAKER_BIND_TO_PORT"  # as the SageMaker inference toolkit reads it; default 8080


def container_root(environ: Mapping[str, str] | None = None) -> Path:
    """Root of the SageMaker container file system: /opt/ml, or where the local cloud relocated it."""
    source = os.environ if environ is None else environ
    return Path(source.get(CONTAINER_ROOT_VARIABLE, DEFAULT_CONTAINER_ROOT))


# Property files and the fields in them that conditions read.
PROPERTY_FILE_CURATION: Final = "Curation"  # CurateDataset, output "curation", curation.json
PROPERTY_FILE_EVALUATION: Final = "Evaluation"  # EvaluateModel, output "evaluation", evaluation.json
