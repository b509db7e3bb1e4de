"""The CDK app: `STAGE=dev|staging|prod` (or `-c stage=`) chooses the configuration. Importing this does nothing.

`make synth` runs it without credentials or Docker; `npx --prefix infra cdk deploy --all` deploys it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from aws_cdk import App

from ahiflow.errors import ConfigurationError
from config import STAGES, StageConfig
from infra.stage import build_stage

ROOT = Path(__file__).resolve().parent


def configuration(stage: str, environ: dict[str, str]) -> StageConfig:
    """Configuration of a stage, with the reference system's settings from the environment where they are set.

    Raises ConfigurationError that names the stages there are.
    """
    if stage not in STAGES or stage == "local":
        deployable = ", ".join(name for name in STAGES if name != "local")
        raise ConfigurationError(f"no stage {stage!r} to deploy: there are {deployable}")
    config = STAGES[stage]
    return replace(
        config,
        deploy_region=environ.get("DEPLOY_REGION") or config.deploy_region,
        datastore_id=environ.get("DATASTORE_ID") or config.datastore_id,
        sagemaker_bucket_name=environ.get("SAGEMAKER_BUCKET_NAME") or config.sagemaker_bucket_name,
        pipeline_name=environ.get("PIPELINE_NAME") or config.pipeline_name,
    )


def main() -> int:
    """Synthesise. Returns the exit status."""
    app = App()
    stage = app.node.try_get_context("stage") or os.environ.get("STAGE") or "dev"
    try:
        build_stage(app, configuration(stage, dict(os.environ)), root=ROOT)
    except ConfigurationError as error:
        sys.stderr.write(f"app: {error}\n")
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
