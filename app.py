"""The CDK app: `STAGE=dev|staging|prod` (or `-c stage=`) chooses the configuration. Importing this does nothing.

`make synth` runs it without credentials or Docker; `npx --prefix infra cdk deploy --all` deploys it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import fields, replace
from pathlib import Path

from aws_cdk import App

from ahiflow.errors import ConfigurationError
from config import STAGES, StageConfig
from infra.stage import build_stage

ROOT = Path(__file__).resolve().parent
# Settings of the reference system that may also come from the environment (design.md section 2).
FROM_ENVIRONMENT = ("DEPLOY_REGION", "DATASTORE_ID", "SAGEMAKER_BUCKET_NAME", "PIPELINE_NAME")


def configuration(stage: str, environ: dict[str, str]) -> StageConfig:
    """Configuration of a stage. Raises ConfigurationError that names the stages there are."""
    if stage not in STAGES or stage == "local":
        deployable = ", ".join(name for name in STAGES if name != "local")
        raise ConfigurationError(f"no stage {stage!r} to deploy: there are {deployable}")
    overrides = {name.lower(): environ[name] for name in FROM_ENVIRONMENT if environ.get(name)}
    known = {field.name for field in fields(StageConfig)}
    return replace(STAGES[stage], **{name: value for name, value in overrides.items() if name in known})


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
