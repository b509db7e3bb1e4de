"""After `make up` and `eval "$(ahiflow env)"`: dcmtk sends, the aws CLI looks and starts, ahiflow tells and fetches."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from machine_support import ROOT, Machine, wait_until

from ahiflow.placeholders import fill


@pytest.fixture(scope="module")
def sent_study(machine: Machine, shared_data: Path) -> str:
    """series_ct_small, sent by dcmtk's storescu; its Study Instance UID."""
    if shutil.which("storescu") is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have dcmtk")
        pytest.skip("no dcmtk on this machine")
    facts = machine.facts
    files = sorted(map(str, (shared_data / "series_ct_small").glob("*.dcm")))
    done = machine.tool(
        "storescu", "-aec", facts["called_ae_title"], facts["dicom_host"], str(facts["dicom_port"]), *files
    )
    assert done.returncode == 0, done.stderr
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


@pytest.fixture(scope="module")
def image_set(machine: Machine, sent_study: str) -> dict[str, Any]:
    datastore = machine.facts["datastore_id"]
    criteria = {"filters": [{"operator": "EQUAL", "values": [{"DICOMStudyInstanceUID": sent_study}]}]}

    def search() -> Any:
        found = machine.aws(
            "medical-imaging",
            "search-image-sets",
            "--datastore-id",
            datastore,
            "--search-criteria",
            json.dumps(criteria),
        )
        return found["imageSetsMetadataSummaries"]

    found = wait_until(search, "an image set of the study")
    assert len(found) == 1
    summary: dict[str, Any] = found[0]
    return summary


def test_metadata_and_a_frame_by_the_aws_cli(machine: Machine, image_set: dict[str, Any], tmp_path: Path) -> None:
    datastore, ident = machine.facts["datastore_id"], image_set["imageSetId"]
    document = tmp_path / "metadata.json.gz"
    machine.aws(
        "medical-imaging",
        "get-image-set-metadata",
        "--datastore-id",
        datastore,
        "--image-set-id",
        ident,
        str(document),
    )
    metadata = json.loads(gzip.decompress(document.read_bytes()))
    assert metadata["ImageSetID"] == ident
    series = next(iter(metadata["Study"]["Series"].values()))
    assert len(series["Instances"]) == 17
    frame = next(iter(series["Instances"].values()))["ImageFrames"][0]["ID"]
    blob = tmp_path / "frame.jph"
    machine.aws(
        "medical-imaging",
        "get-image-frame",
        "--datastore-id",
        datastore,
        "--image-set-id",
        ident,
        "--image-frame-information",
        json.dumps({"imageFrameId": frame}),
        str(blob),
    )
    assert blob.read_bytes()[:4] == b"\xff\x4f\xff\x51", "an HTJ2K codestream starts with SOC and SIZ"


def test_the_arrival_started_exactly_one_execution(machine: Machine, image_set: dict[str, Any]) -> None:
    def ended() -> Any:
        executions = machine.aws(
            "sagemaker", "list-pipeline-executions", "--pipeline-name", machine.facts["pipeline_name"]
        )["PipelineExecutionSummaries"]
        mine = [item for item in executions if _image_set_of(machine, item) == image_set["imageSetId"]]
        return mine if mine and all(item["PipelineExecutionStatus"] != "Executing" for item in mine) else None

    mine = wait_until(ended, "the execution's end")
    assert [item["PipelineExecutionStatus"] for item in mine] == ["Succeeded"]


def test_an_execution_by_hand(machine: Machine, image_set: dict[str, Any]) -> None:
    """The README's command, word for word, with its two parameters."""
    facts = machine.facts
    parameters = [
        {"Name": "ImageSetId", "Value": image_set["imageSetId"]},
        {"Name": "DatastoreId", "Value": facts["datastore_id"]},
    ]
    arn = machine.aws(
        "sagemaker",
        "start-pipeline-execution",
        "--pipeline-name",
        "ahi-mlops-pipeline",
        "--pipeline-parameters",
        json.dumps(parameters),
    )["PipelineExecutionArn"]

    def ended() -> Any:
        found = machine.aws("sagemaker", "describe-pipeline-execution", "--pipeline-execution-arn", arn)
        return found if found["PipelineExecutionStatus"] not in ("Executing", "Stopping") else None

    found = wait_until(ended, "the end of the execution started by hand")
    assert found["PipelineExecutionStatus"] == "Succeeded", found
    steps = machine.aws("sagemaker", "list-pipeline-execution-steps", "--pipeline-execution-arn", arn)
    statuses = {step["StepName"]: step["StepStatus"] for step in steps["PipelineExecutionSteps"]}
    assert statuses["FetchImageSet"] == statuses["CurateDataset"] == "Succeeded"
    assert "TrainModel" not in statuses, "an unlabelled image set must not start a training"


def test_status_tells_the_story(machine: Machine, sent_study: str, image_set: dict[str, Any]) -> None:
    def told() -> Any:
        done = machine.ahiflow("status", sent_study)
        assert done.returncode == 0, done.stderr
        return done.stdout if image_set["imageSetId"] in done.stdout and "Succeeded" in done.stdout else None

    wait_until(told, "the story with its image set and execution")
    done = machine.ahiflow("status", sent_study, "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


def test_fetch_gives_the_arrays_that_pydicom_decodes(
    machine: Machine, image_set: dict[str, Any], shared_data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x"
    done = machine.ahiflow("fetch", image_set["imageSetId"], "--out", str(out))
    assert done.returncode == 0, done.stderr
    pixels = np.load(next(out.rglob("pixels.npy")))
    datasets = [pydicom.dcmread(path) for path in (shared_data / "series_ct_small").glob("*.dcm")]
    expected = {d.pixel_array.tobytes() for d in datasets}
    assert pixels.dtype == datasets[0].pixel_array.dtype
    assert {frame.tobytes() for frame in pixels} == expected
    assert len(pixels) == len(datasets) == 17
    positions = sorted(float(d.ImagePositionPatient[2]) for d in datasets)
    by_position = {float(d.ImagePositionPatient[2]): d.pixel_array.tobytes() for d in datasets}
    order = [frame.tobytes() for frame in pixels]
    ascending = [by_position[z] for z in positions]
    assert order in (ascending, ascending[::-1]), "frames are ordered by where they stand"


def _image_set_of(machine: Machine, execution: dict[str, Any]) -> str:
    found = machine.aws(
        "sagemaker",
        "list-pipeline-parameters-for-execution",
        "--pipeline-execution-arn",
        execution["PipelineExecutionArn"],
    )
    return next(item["Value"] for item in found["PipelineParameters"] if item["Name"] == "ImageSetId")


def test_the_pipeline_that_ran_is_the_committed_one(machine: Machine) -> None:
    """And tests/infra shows that the deployed one is the committed one: what runs here is what is deployed."""
    shell, facts = machine.shell, machine.facts
    described = machine.aws("sagemaker", "describe-pipeline", "--pipeline-name", facts["pipeline_name"])
    registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow"
    values = {
        "PipelineRoleArn": described["RoleArn"],
        "ArtifactsBucketName": facts["artifacts_bucket"],
        "FetcherImageUri": f"{registry}/fetcher:local",
        "LearningImageUri": f"{registry}/learning:local",
        "PseudonymSecretId": shell["AHIFLOW_PSEUDONYM_SECRET_ID"],
        "ModelPackageGroupName": shell["AHIFLOW_MODEL_PACKAGE_GROUP_NAME"],
    }
    committed = json.loads((ROOT / "pipeline" / "definition" / "pipeline.json").read_text())
    assert json.loads(described["PipelineDefinition"]) == fill(committed, values)
