"""The SageMaker pipeline, from the committed definition, and the model package group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ahiflow import pipeline_definition
from config import parameter_defaults
from localcloud.bootstrap.plan import Plan


def definition(path: Path, plan: Plan) -> str:
    """The pipeline definition with its placeholders filled and its defaults set. Raises ConfigurationError."""
    return json.dumps(
        pipeline_definition.deployed(
            pipeline_definition.load(path),
            defaults=parameter_defaults(plan.config),
            use_spot=plan.config.training_use_spot,
            values=plan.pipeline_placeholders(),
        )
    )


def ensure_pipeline(sagemaker: Any, plan: Plan, document: str) -> None:
    """Make the pipeline, or update it when its definition differs."""
    name = plan.config.pipeline_name
    wanted = {"PipelineName": name, "PipelineDefinition": document, "RoleArn": plan.names.role_arn("pipeline")}
    summaries = sagemaker.list_pipelines(PipelineNamePrefix=name)["PipelineSummaries"]
    if name not in [summary["PipelineName"] for summary in summaries]:
        sagemaker.create_pipeline(**wanted)
    elif json.loads(sagemaker.describe_pipeline(PipelineName=name)["PipelineDefinition"]) != json.loads(document):
        sagemaker.update_pipeline(**wanted)


def ensure_model_package_group(sagemaker: Any, plan: Plan) -> None:
    """Make the model package group."""
    name = plan.config.model_package_group_name
    found = sagemaker.list_model_package_groups(NameContains=name)["ModelPackageGroupSummaryList"]
    if name not in [group["ModelPackageGroupName"] for group in found]:
        sagemaker.create_model_package_group(ModelPackageGroupName=name)
