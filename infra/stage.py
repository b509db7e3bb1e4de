"""One stage: its stacks, composed."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import App, Environment, Tags, Validations
from cdk_nag import AwsSolutionsChecks

from ahiflow import pipeline_contract as contract
from ahiflow.errors import ConfigurationError
from config import StageConfig
from infra.stacks.imaging import ImagingStack
from infra.stacks.ingest import IngestStack
from infra.stacks.network import NetworkStack
from infra.stacks.observability import ObservabilityStack
from infra.stacks.spine import SpineStack
from infra.stacks.storage import StorageStack
from infra.stacks.training import TrainingStack


def build_stage(app: App, config: StageConfig, *, root: Path) -> None:
    """Add a stage's stacks to the app. The account is the deployer's; assets are read from ``root``/build/assets.

    Raises ConfigurationError when an asset is not staged.
    """
    assets = root / "build" / "assets"
    # A region but no account: nothing is looked up, so synthesis needs no credentials.
    environment = Environment(region=config.deploy_region)

    def name(stack: str) -> str:
        return f"{config.stack_name}-{config.stage}-{stack}"

    storage = StorageStack(app, name("storage"), config=config, env=environment)
    network = NetworkStack(app, name("network"), config=config, env=environment)
    imaging = ImagingStack(app, name("imaging"), config=config, data_key=storage.data_key, env=environment)
    ingest = IngestStack(
        app,
        name("ingest"),
        config=config,
        vpc=network.vpc,
        data_key=storage.data_key,
        image_folder=_image_folder(assets, contract.IMAGE_STORESCP),
        env=environment,
    )
    training = TrainingStack(
        app,
        name("training"),
        config=config,
        datastore_id=imaging.datastore_id,
        data_key=storage.data_key,
        image_folders={name: _image_folder(assets, name) for name in (contract.IMAGE_FETCHER, contract.IMAGE_LEARNING)},
        pipeline_json=root / "pipeline" / "definition" / "pipeline.json",
        env=environment,
    )
    spine = SpineStack(
        app,
        name("spine"),
        config=config,
        datastore_id=imaging.datastore_id,
        data_key=storage.data_key,
        approval_key=storage.approval_key,
        lambda_zips=assets / "lambdas-aws",
        env=environment,
    )
    observability = ObservabilityStack(
        app, name("observability"), config=config, functions=spine.functions, env=environment
    )
    # Names join the stacks, so CloudFormation does not see what must be there first.
    imaging.add_stack_dependency(storage)
    ingest.add_stack_dependency(spine)
    training.add_stack_dependency(imaging)
    spine.add_stack_dependency(training)
    observability.add_stack_dependency(spine)
    Tags.of(app).add("application", "ahiflow")
    Tags.of(app).add("stage", config.stage)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app, verbose=True, write_suppressions_to_cloud_formation=True))


def _image_folder(assets: Path, image: str) -> Path:
    folder = assets / image
    if not (folder / "Dockerfile").is_file():
        raise ConfigurationError(f"the {image} image is not staged: run `python tools/stage_assets.py images`")
    return folder
