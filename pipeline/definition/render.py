"""Render the pipeline definition to ``pipeline.json``: no network, no credentials, the same bytes every time.

    .venv-build/bin/python -m pipeline.definition.render           write pipeline/definition/pipeline.json
    .venv-build/bin/python -m pipeline.definition.render --check   fail when the committed file differs

The SDK wants real-looking values (a role must look like an ARN, a bucket like a bucket), so sentinels stand for the
placeholders while it renders, and are replaced by ``${Name}`` in the parsed document afterwards.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ahiflow import pipeline_contract as contract
from ahiflow import placeholders
from config import STAGES, StageConfig

RENDERED: Final = Path(__file__).resolve().parent / "pipeline.json"
MAXIMUM_CHARACTERS: Final = 1_048_576  # shape PipelineDefinition
_MARK: Final = "ahiflow-placeholder"
SENTINELS: Final[Mapping[str, str]] = {
    "PipelineRoleArn": f"arn:aws:iam::123456789012:role/{_MARK}-role",
    "ArtifactsBucketName": f"{_MARK}-artifacts",
    "FetcherImageUri": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{_MARK}:fetcher",
    "LearningImageUri": f"123456789012.dkr.ecr.us-east-1.amazonaws.com/{_MARK}:learning",
    "PseudonymSecretId": f"{_MARK}-secret",
    "ModelPackageGroupName": f"{_MARK}-group",
}


class RenderError(Exception):
    """The SDK produced something that cannot be deployed; the message says what."""


def render(defaults: StageConfig) -> str:
    """Return the definition as pretty-printed JSON with ``${Name}`` placeholders and a final newline."""
    document = with_placeholders(json.loads(_definition(defaults)))
    missing = set(contract.PLACEHOLDERS) - placeholders.names(document)
    if missing:
        raise RenderError(f"placeholders that nothing uses: {', '.join(sorted(missing))}")
    text = json.dumps(document, indent=2, sort_keys=False) + "\n"
    if len(text) > MAXIMUM_CHARACTERS:
        raise RenderError(f"the definition has {len(text)} characters; SageMaker takes {MAXIMUM_CHARACTERS}")
    return text


def with_placeholders(document: Any) -> Any:
    """Replace every sentinel in the strings of a JSON document. Raises RenderError when a part of one is left."""
    if isinstance(document, dict):
        return {key: with_placeholders(value) for key, value in document.items() if value is not None}
    if isinstance(document, list):
        return [with_placeholders(item) for item in document]
    if isinstance(document, str):
        text = document
        for name, sentinel in SENTINELS.items():
            text = text.replace(sentinel, "${" + name + "}")
        if _MARK in text:
            raise RenderError(f"a placeholder was changed by the SDK: {text}")
        return text
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the committed file. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.definition.render", description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail when the committed file differs")
    options = parser.parse_args(arguments)
    rendered = render(STAGES["dev"])
    if options.check:
        if not RENDERED.is_file() or RENDERED.read_text() != rendered:
            sys.stderr.write("pipeline/definition/pipeline.json is out of date: run `make definition`\n")
            return 1
        return 0
    RENDERED.write_text(rendered)
    return 0


def _definition(defaults: StageConfig) -> str:
    """Import the SDK, which reads the environment when imported, and let it compile the definition."""
    os.environ.update(
        AWS_DEFAULT_REGION="us-east-1",
        AWS_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="unused",
        AWS_SECRET_ACCESS_KEY="unused",
        AWS_EC2_METADATA_DISABLED="true",
        SAGEMAKER_VALIDATE_ROLE="false",
    )
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from sagemaker.core.config.config_manager import SageMakerConfig
    from sagemaker.core.workflow.pipeline_context import PipelineSession
    from sagemaker.mlops.workflow.pipeline import Pipeline

    from pipeline.definition.parameters import build_parameters
    from pipeline.definition.steps import Context, Placeholders, build_steps

    # Validating the SDK's own (here constant) defaults file costs seconds for every job that is built.
    SageMakerConfig.validate_sagemaker_config = staticmethod(lambda sagemaker_config=None: None)
    session = PipelineSession(
        default_bucket=SENTINELS["ArtifactsBucketName"],
        sagemaker_config={"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}},
    )
    parameters = build_parameters(defaults)
    stands_for = Placeholders(
        pipeline_role_arn=SENTINELS["PipelineRoleArn"],
        artifacts_bucket_name=SENTINELS["ArtifactsBucketName"],
        fetcher_image_uri=SENTINELS["FetcherImageUri"],
        learning_image_uri=SENTINELS["LearningImageUri"],
        pseudonym_secret_id=SENTINELS["PseudonymSecretId"],
        model_package_group_name=SENTINELS["ModelPackageGroupName"],
    )
    context = Context(session, parameters, stands_for, training_uses_spot=defaults.training_use_spot)
    pipeline = Pipeline(
        name=defaults.pipeline_name,
        parameters=parameters.all(),
        steps=build_steps(context),
        sagemaker_session=session,
        pipeline_experiment_config=None,
    )
    definition: str = pipeline.definition()
    return definition


if __name__ == "__main__":
    sys.exit(main())
