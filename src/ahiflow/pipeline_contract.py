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

# Files that steps leave for each other, each in the output (or channel) named before it.
FETCH_FILE: Final = "fetch.json"  # output "fetch"
CURATION_FILE: Final = "curation.json"  # output "curation"
DATASET_MANIFEST_FILE: Final = "manifest.json"  # output "dataset"
IMAGES_MANIFEST_FILE: Final = "images.manifest"  # output "dataset"; a SageMaker ManifestFile
EVALUATION_FILE: Final = "evaluation.json"  # output "evaluation"

# Processing inputs and outputs, and training channels (design.md section 6).
OUTPUT_FETCH: Final = "fetch"
OUTPUT_CURATION: Final = "curation"
OUTPUT_DATASET: Final = "dataset"
OUTPUT_EVALUATION: Final = "evaluation"
INPUT_MODEL: Final = "model"  # holds model.tar.gz
CHANNEL_DATASET: Final = "dataset"
CHANNEL_IMAGES: Final = "images"

# Pipeline parameters that tune a deployment; their defaults are those of config.py, set when it is deployed.
PARAMETER_PROCESSING_INSTANCE_TYPE: Final = "ProcessingInstanceType"
PARAMETER_TRAINING_INSTANCE_TYPE: Final = "TrainingInstanceType"
PARAMETER_MAX_FRAMES: Final = "MaxFramesPerImageset"
PARAMETER_OUTPUT_FORMAT: Final = "OutputFormat"
PARAMETER_MINIMUM_ROC_AUC: Final = "MinimumRocAuc"


def processing_input(name: str, root: Path | None = None) -> Path:
    """Folder where a Processing step finds the input ``name``."""
    return (root or container_root()) / "processing" / "input" / name


def processing_output(name: str, root: Path | None = None) -> Path:
    """Folder whose content SageMaker uploads as the output ``name`` when a Processing step ends."""
    return (root or container_root()) / "processing" / "output" / name


# Under the container root: what a spot training job keeps in S3 while it trains.
CHECKPOINTS: Final = "checkpoints"

# Hyperparameters of TrainModel, as SageMaker passes them: strings in input/config/hyperparameters.json. What is not
# named here has the training program's own default.
HYPERPARAMETERS: Final[Mapping[str, str]] = {"epochs": "12", "seed": "20261121"}
