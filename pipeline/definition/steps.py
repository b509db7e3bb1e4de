"""The steps of the pipeline, one function per step (design.md section 6, docs/architecture.md "Pipeline steps").

Strings that only a deployment knows are placeholders: :class:`Placeholders` holds what stands for them here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sagemaker.core.helper.pipeline_variable import PipelineVariable
from sagemaker.core.model_metrics import MetricsSource, ModelMetrics
from sagemaker.core.network import NetworkConfig
from sagemaker.core.processing import Processor
from sagemaker.core.shapes import (
    MetricDefinition,
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
    S3DataSource,
    StoppingCondition,
)
from sagemaker.core.training.configs import CheckpointConfig, Compute, InputData, Networking, OutputDataConfig
from sagemaker.core.workflow.conditions import ConditionEquals
from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.functions import Join, JsonGet
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.core.workflow.properties import PropertyFile
from sagemaker.mlops.workflow.condition_step import ConditionStep
from sagemaker.mlops.workflow.fail_step import FailStep
from sagemaker.mlops.workflow.model_step import ModelStep
from sagemaker.mlops.workflow.steps import ProcessingStep, Step, TrainingStep
from sagemaker.serve.model_builder import ModelBuilder
from sagemaker.train.model_trainer import ModelTrainer

from ahiflow import keys
from ahiflow import pipeline_contract as contract
from pipeline.definition.parameters import PipelineParameters

_ROOT = Path(contract.DEFAULT_CONTAINER_ROOT)
HOUR = 3600
PROCESSING_SECONDS = 4 * HOUR
TRAINING_SECONDS = 6 * HOUR
TRAINING_WITH_SPOT_WAIT_SECONDS = 12 * HOUR
VOLUME_GIB = 50
NUMBER = r"([-+0-9.eE]+)"
# Lines that the training program prints: "epoch=3, train_loss=0.41, validation_loss=0.52, validation_roc_auc=0.88".
METRICS = ("train_loss", "validation_loss", "validation_roc_auc")
CONTENT_TYPES = ["application/dicom", "application/x-npy", "application/json"]
RESPONSE_TYPES = ["application/json"]

CURATION = PropertyFile(
    name=contract.PROPERTY_FILE_CURATION, output_name=contract.OUTPUT_CURATION, path=contract.CURATION_FILE
)
EVALUATION = PropertyFile(
    name=contract.PROPERTY_FILE_EVALUATION, output_name=contract.OUTPUT_EVALUATION, path=contract.EVALUATION_FILE
)


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What stands for each of ``pipeline_contract.PLACEHOLDERS`` while rendering."""

    pipeline_role_arn: str
    artifacts_bucket_name: str
    fetcher_image_uri: str
    learning_image_uri: str
    pseudonym_secret_id: str
    model_package_group_name: str


@dataclass(frozen=True, slots=True)
class Context:
    """What every step is built from."""

    session: PipelineSession
    parameters: PipelineParameters
    placeholders: Placeholders
    training_uses_spot: bool

    def execution_uri(self, *names: str, folder: bool = False) -> Join:
        """URI under ``executions/<pipeline execution id>/``: each execution has a prefix of its own."""
        root = f"s3://{self.placeholders.artifacts_bucket_name}/{keys.EXECUTIONS.rstrip('/')}"
        tail = ("",) if folder else ()
        return Join(on="/", values=[root, ExecutionVariables.PIPELINE_EXECUTION_ID, *names, *tail])


def fetch_step(context: Context) -> ProcessingStep:
    """Fetch and decode the frames of one image set version. Writes the image set itself, ``_SUCCESS`` last."""
    parameters, placeholders = context.parameters, context.placeholders
    processor = _processor(
        context,
        placeholders.fetcher_image_uri,
        "fetcher_image",
        {
            "ARTIFACTS_BUCKET_NAME": placeholders.artifacts_bucket_name,
            "PSEUDONYM_SECRET_ID": placeholders.pseudonym_secret_id,
            "MAX_FRAMES_PER_IMAGESET": parameters.max_frames.to_string(),
            "OUTPUT_FORMAT": parameters.output_format,
        },
    )
    arguments = [
        *("--datastore-id", parameters.datastore_id),
        *("--image-set-id", parameters.image_set_id),
        *("--version-id", parameters.image_set_version_id),
    ]
    outputs = [_output(context, contract.OUTPUT_FETCH)]
    return ProcessingStep(contract.STEP_FETCH, step_args=processor.run(outputs=outputs, arguments=arguments))


def curate_step(context: Context, fetch: ProcessingStep) -> ProcessingStep:
    """Add the image set to the dataset and decide whether to train. Not isolated: it reads and claims in S3."""
    processor = _processor(context, context.placeholders.learning_image_uri, "pipeline.curation")
    fetched = fetch.properties.ProcessingOutputConfig.Outputs[contract.OUTPUT_FETCH].S3Output.S3Uri
    step_args = processor.run(
        inputs=[_input(contract.OUTPUT_FETCH, fetched)],
        outputs=[_output(context, contract.OUTPUT_CURATION), _output(context, contract.OUTPUT_DATASET)],
        arguments=["--execution-arn", ExecutionVariables.PIPELINE_EXECUTION_ARN],
    )
    return ProcessingStep(contract.STEP_CURATE, step_args=step_args, property_files=[CURATION])


def train_step(context: Context) -> TrainingStep:
    """Train on the curated dataset; the image answers to ``train``. Isolated: channels are all that it reads."""
    spot = context.training_uses_spot
    stopping = StoppingCondition(max_runtime_in_seconds=TRAINING_SECONDS)
    if spot:
        stopping = StoppingCondition(
            max_runtime_in_seconds=TRAINING_SECONDS, max_wait_time_in_seconds=TRAINING_WITH_SPOT_WAIT_SECONDS
        )
    trainer = ModelTrainer(
        sagemaker_session=context.session,
        role=context.placeholders.pipeline_role_arn,
        base_job_name="train",
        training_image=context.placeholders.learning_image_uri,
        compute=Compute(
            instance_type=context.parameters.training_instance_type,
            instance_count=1,
            volume_size_in_gb=VOLUME_GIB,
            enable_managed_spot_training=spot,
        ),
        networking=Networking(enable_network_isolation=True),
        stopping_condition=stopping,
        output_data_config=OutputDataConfig(s3_output_path=context.execution_uri("training"), compression_type="GZIP"),
        checkpoint_config=CheckpointConfig(
            s3_uri=context.execution_uri("checkpoints"),
            local_path=str(_ROOT / contract.CHECKPOINTS),
        ),
        hyperparameters=dict(contract.HYPERPARAMETERS),
    ).with_metric_definitions([MetricDefinition(name=name, regex=f"{name}={NUMBER}") for name in METRICS])
    dataset = context.execution_uri(contract.OUTPUT_DATASET, folder=True)
    images = context.execution_uri(contract.OUTPUT_DATASET, contract.IMAGES_MANIFEST_FILE)
    channels = [
        InputData(channel_name=contract.CHANNEL_DATASET, data_source=_channel_source("S3Prefix", dataset)),
        InputData(channel_name=contract.CHANNEL_IMAGES, data_source=_channel_source("ManifestFile", images)),
    ]
    return TrainingStep(contract.STEP_TRAIN, step_args=trainer.train(input_data_config=channels))


def evaluate_step(context: Context, train: TrainingStep) -> ProcessingStep:
    """Evaluate on the held-out patients and decide the quality gate. Isolated: inputs are all that it reads."""
    processor = _processor(context, context.placeholders.learning_image_uri, "pipeline.evaluation", isolated=True)
    images = context.execution_uri(contract.OUTPUT_DATASET, contract.IMAGES_MANIFEST_FILE)
    step_args = processor.run(
        inputs=[
            _input(contract.INPUT_MODEL, train.properties.ModelArtifacts.S3ModelArtifacts),
            _input(contract.CHANNEL_DATASET, context.execution_uri(contract.OUTPUT_DATASET, folder=True)),
            _input(contract.CHANNEL_IMAGES, images, s3_data_type="ManifestFile"),
        ],
        outputs=[_output(context, contract.OUTPUT_EVALUATION)],
        arguments=["--minimum-roc-auc", context.parameters.minimum_roc_auc.to_string()],
    )
    return ProcessingStep(contract.STEP_EVALUATE, step_args=step_args, property_files=[EVALUATION])


def register_step(context: Context, train: TrainingStep) -> ModelStep:
    """Register the model with its evaluation; a person approves it (parameter ModelApprovalStatus)."""
    report = context.execution_uri(contract.OUTPUT_EVALUATION, contract.EVALUATION_FILE)
    model = ModelBuilder(
        sagemaker_session=context.session,
        role_arn=context.placeholders.pipeline_role_arn,
        image_uri=context.placeholders.learning_image_uri,
        s3_model_data_url=train.properties.ModelArtifacts.S3ModelArtifacts,
        dependencies={},
    )
    step_args = model.register(
        model_package_group_name=context.placeholders.model_package_group_name,
        content_types=CONTENT_TYPES,
        response_types=RESPONSE_TYPES,
        model_metrics=ModelMetrics(
            model_statistics=MetricsSource(content_type="application/json", s3_uri=report),
        ),
        approval_status=context.parameters.model_approval_status,
        customer_metadata_properties={"pipeline_execution_arn": ExecutionVariables.PIPELINE_EXECUTION_ARN},
    )
    return ModelStep(contract.STEP_REGISTER, step_args=step_args)


def reject_step(context: Context) -> FailStep:
    """End the execution as failed. JsonGet is documented for conditions only, so the message says where to read why."""
    root = f"s3://{context.placeholders.artifacts_bucket_name}/{keys.EXECUTIONS}"
    values = [
        f"the quality gate did not pass: gate.reason in {root}",
        ExecutionVariables.PIPELINE_EXECUTION_ID,
        f"/{contract.OUTPUT_EVALUATION}/{contract.EVALUATION_FILE} says why",
    ]
    message = Join(on="", values=values)
    return FailStep(contract.STEP_REJECT, error_message=message)


def quality_gate_step(passed: list[Step], refused: list[Step]) -> ConditionStep:
    """Register or reject, by what the evaluation decided."""
    gate = JsonGet(step_name=contract.STEP_EVALUATE, property_file=EVALUATION, json_path="gate.passed")
    return ConditionStep(
        contract.STEP_GATE,
        conditions=[ConditionEquals(left=gate, right=1)],
        if_steps=passed,
        else_steps=refused,
    )


def training_needed_step(steps: list[Step]) -> ConditionStep:
    """Train when there is enough new labelled data; otherwise the execution ends here as Succeeded, by design."""
    needed = JsonGet(step_name=contract.STEP_CURATE, property_file=CURATION, json_path="training_needed")
    return ConditionStep(
        contract.STEP_TRAINING_NEEDED,
        conditions=[ConditionEquals(left=needed, right=1)],
        if_steps=steps,
        else_steps=[],
    )


def build_steps(context: Context) -> list[Step]:
    """Build all steps, connected."""
    fetch = fetch_step(context)
    curate = curate_step(context, fetch)
    train = train_step(context)
    evaluate = evaluate_step(context, train)
    gate = quality_gate_step([register_step(context, train)], [reject_step(context)])
    return [fetch, curate, training_needed_step([train, evaluate, gate])]


def _processor(
    context: Context,
    image_uri: str,
    module: str,
    environment: dict[str, str | PipelineVariable] | None = None,
    *,
    isolated: bool = False,
) -> Processor:
    return Processor(
        sagemaker_session=context.session,
        role=context.placeholders.pipeline_role_arn,
        base_job_name="process",
        image_uri=image_uri,
        entrypoint=["python", "-m", module],
        instance_count=1,
        instance_type=context.parameters.processing_instance_type,
        volume_size_in_gb=VOLUME_GIB,
        max_runtime_in_seconds=PROCESSING_SECONDS,
        env=environment,
        network_config=NetworkConfig(enable_network_isolation=True) if isolated else None,
    )


def _input(name: str, uri: str | PipelineVariable, s3_data_type: str = "S3Prefix") -> ProcessingInput:
    source = ProcessingS3Input(
        s3_uri=uri,
        local_path=str(contract.processing_input(name, _ROOT)),
        s3_data_type=s3_data_type,
        s3_input_mode="File",
        s3_data_distribution_type="FullyReplicated",
    )
    return ProcessingInput(input_name=name, s3_input=source)


def _output(context: Context, name: str) -> ProcessingOutput:
    target = ProcessingS3Output(
        s3_uri=context.execution_uri(name),
        local_path=str(contract.processing_output(name, _ROOT)),
        s3_upload_mode="EndOfJob",
    )
    return ProcessingOutput(output_name=name, s3_output=target)


def _channel_source(s3_data_type: str, uri: Join) -> S3DataSource:
    return S3DataSource(s3_data_type=s3_data_type, s3_uri=uri, s3_data_distribution_type="FullyReplicated")
