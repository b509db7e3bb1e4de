"""The definition that the SageMaker SDK rendered, and that is deployed, runs here: small programs stand in for ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sagemaker_support import BUCKET, REPOSITORY, ROLE, Bus, Cloud, wait_until

from ahiflow import placeholders
from ahiflow.pipeline_contract import STEP_EVALUATE, STEP_FETCH, STEP_REGISTER, STEP_REJECT, STEP_TRAIN
from localcloud.sagemaker.dockerfile import ImageStart
from localcloud.sagemaker.images import Image, Images
from localcloud.sagemaker.service import SageMakerService
from localcloud.service import Backplane
from localcloud.standalone import serve_alone

FETCHER = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow/fetcher:local"
LEARNING = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow/learning:local"
_HEAD = """
import json, os, sys
from pathlib import Path
root = Path(os.environ["AHIFLOW_CONTAINER_ROOT"])
out = root / "processing" / "output"
def put(path, document):
    path.write_text(json.dumps(document))
"""
_PROGRAMS = {
    "fetcher_image": 'put(out / "fetch" / "fetch.json", {"argv": sys.argv[1:], "format": os.environ["OUTPUT_FORMAT"]})',
    "pipeline.curation": """
fetch = json.loads((root / "processing" / "input" / "fetch" / "fetch.json").read_text())
needed = 0 if "enough" in fetch["argv"] else 1
put(out / "curation" / "curation.json", {"training_needed": needed})
put(out / "dataset" / "manifest.json", {})
put(out / "dataset" / "images.manifest", [{"prefix": "s3://artifacts/image-sets/"}, "ds/is/1/pixels.npy"])
""",
    "pipeline": """
assert sys.argv[1:] == ["train"]
assert (root / "input" / "data" / "images" / "ds" / "is" / "1" / "pixels.npy").read_bytes() == b"pixels"
assert "AWS_ACCESS_KEY_ID" not in os.environ
print("validation_roc_auc=0.75")
put(root / "model" / "weights.json", json.loads((root / "input" / "config" / "hyperparameters.json").read_text()))
""",
    "pipeline.evaluation": """
assert (root / "processing" / "input" / "model" / "model.tar.gz").stat().st_size
floor = float(sys.argv[sys.argv.index("--minimum-roc-auc") + 1])
put(out / "evaluation" / "evaluation.json", {"gate": {"passed": int(0.75 >= floor)}})
""",
}


@pytest.fixture
def chain(tmp_path: Path, s3: Any) -> Iterator[Cloud]:
    folder = tmp_path / "image"
    for module, text in _PROGRAMS.items():
        package = folder.joinpath(*module.split("."))
        package.mkdir(parents=True, exist_ok=True)
        (package / "__main__.py").write_text(_HEAD + text)
    image = Image(ImageStart(("python", "-m", "pipeline"), ("train",), {}), folder)
    bus, made = Bus(), []

    def factory(backplane: Backplane) -> SageMakerService:
        images = Images(REPOSITORY, overrides={FETCHER: image, LEARNING: image})
        made.append(SageMakerService(backplane, images=images))
        return made[0]

    state = tmp_path / "state"
    s3.put_object(Bucket=BUCKET, Key="image-sets/ds/is/1/pixels.npy", Body=b"pixels")
    with serve_alone(factory, state, aws=lambda _: s3, emit=bus.emit) as url:
        cloud = Cloud(made[0], url, s3, bus, state)
        values = {
            "PipelineRoleArn": ROLE,
            "ArtifactsBucketName": BUCKET,
            "FetcherImageUri": FETCHER,
            "LearningImageUri": LEARNING,
            "PseudonymSecretId": "pseudonym",
            "ModelPackageGroupName": "ahi-models",
        }
        rendered = json.loads((REPOSITORY / "pipeline" / "definition" / "pipeline.json").read_text())
        definition = json.dumps(placeholders.fill(rendered, values))
        cloud.sagemaker.create_pipeline(PipelineName="chain", PipelineDefinition=definition, RoleArn=ROLE)
        yield cloud


def test_the_deployed_definition_ends_in_a_model_package(chain: Cloud) -> None:
    arn = chain.start(ImageSetId="is", DatastoreId="ds")
    assert chain.end(arn)["PipelineExecutionStatus"] == "Succeeded", chain.steps(arn)
    steps = chain.steps(arn)
    fetch = json.loads(chain.read(f"s3://{BUCKET}/executions/{arn.rpartition('/')[2]}/fetch/fetch.json"))
    assert fetch == {
        "argv": ["--datastore-id", "ds", "--image-set-id", "is", "--version-id", "latest"],
        "format": "npy,nifti",
    }
    package = chain.sagemaker.describe_model_package(
        ModelPackageName=steps[STEP_REGISTER]["Metadata"]["RegisterModel"]["Arn"]
    )
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["CustomerMetadataProperties"]["pipeline_execution_arn"] == arn
    job = chain.sagemaker.describe_training_job(
        TrainingJobName=steps[STEP_TRAIN]["Metadata"]["TrainingJob"]["Arn"].rpartition("/")[2]
    )
    assert [metric["MetricName"] for metric in job["FinalMetricDataList"]] == ["validation_roc_auc"]
    wait_until("the event", lambda: chain.bus.details("SageMaker Model Package State Change"))


def test_a_closed_gate_registers_nothing_and_says_where_to_look(chain: Cloud) -> None:
    arn = chain.start(ImageSetId="is", DatastoreId="ds", MinimumRocAuc="0.9")
    end = chain.end(arn)
    assert end["PipelineExecutionStatus"] == "Failed"
    assert "the quality gate did not pass" in end["FailureReason"]
    steps = chain.steps(arn)
    assert STEP_REJECT in steps
    assert STEP_REGISTER not in steps
    assert chain.sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"] == []


def test_no_training_when_there_is_no_need(chain: Cloud) -> None:
    arn = chain.start(ImageSetId="is", DatastoreId="ds", ImageSetVersionId="enough")
    assert chain.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    steps = chain.steps(arn)
    assert STEP_FETCH in steps
    assert not {STEP_TRAIN, STEP_EVALUATE, STEP_REGISTER} & set(steps)
