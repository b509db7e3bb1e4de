"""Bad input ends in one clear line and a non-zero exit, and the rest of the work goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from machine_support import Machine, wait_until
from pydicom.data import get_testdata_file


def assert_one_line(stderr: str, *names: str) -> None:
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    for name in names:
        assert name in lines[0]


def test_a_text_file_and_a_truncated_file_do_not_hold_up_a_good_one(machine: Machine, tmp_path: Path) -> None:
    good = Path(str(get_testdata_file("CT_small.dcm")))
    text = tmp_path / "notes.txt"
    text.write_text("these are notes, not an image\n")
    truncated = tmp_path / "cut.dcm"
    truncated.write_bytes(good.read_bytes()[:2000])
    done = machine.ahiflow("send", str(text), str(truncated), str(good), "--json")
    assert done.returncode != 0
    answer = json.loads(done.stdout)
    assert answer["acknowledged"] == 1
    assert sorted(Path(item["file"]).name for item in answer["refused"]) == ["cut.dcm", "notes.txt"]
    assert all(item["reason"] and "\n" not in item["reason"] for item in answer["refused"])
    assert "Traceback" not in done.stderr
    uid = str(pydicom.dcmread(good, stop_before_pixels=True).StudyInstanceUID)
    wait_until(lambda: "Succeeded" in machine.ahiflow("status", uid).stdout, "the good file's execution")


def test_an_image_set_that_does_not_exist(machine: Machine, tmp_path: Path) -> None:
    done = machine.ahiflow("fetch", "0" * 32, "--out", str(tmp_path / "x"))
    assert done.returncode != 0
    assert_one_line(done.stderr, "0" * 32)
    assert not list(tmp_path.rglob("_SUCCESS"))


def test_an_execution_for_an_image_set_that_does_not_exist_fails_with_the_reason(machine: Machine) -> None:
    facts = machine.facts
    arn = machine.client("sagemaker").start_pipeline_execution(
        PipelineName=facts["pipeline_name"],
        PipelineParameters=[
            {"Name": "ImageSetId", "Value": "0" * 32},
            {"Name": "DatastoreId", "Value": facts["datastore_id"]},
        ],
    )["PipelineExecutionArn"]
    client = machine.client("sagemaker")

    def ended() -> str | None:
        status = client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        return None if status == "Executing" else str(status)

    assert wait_until(ended, "the execution's end") == "Failed"
    # As in the service, the execution says only that a step failed, and the step says why.
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert [(step["StepName"], step["StepStatus"]) for step in steps] == [("FetchImageSet", "Failed")]
    assert "0" * 32 in steps[0]["FailureReason"]


@pytest.mark.parametrize("missing", ["ImageSetId", "DatastoreId"])
def test_an_execution_with_a_missing_parameter(machine: Machine, missing: str) -> None:
    given = {"ImageSetId": "0" * 32, "DatastoreId": machine.facts["datastore_id"]}
    parameters = [{"Name": name, "Value": value} for name, value in given.items() if name != missing]
    done = machine.tool(
        "aws",
        "sagemaker",
        "start-pipeline-execution",
        "--pipeline-name",
        machine.facts["pipeline_name"],
        "--pipeline-parameters",
        json.dumps(parameters),
    )
    assert done.returncode != 0
    assert_one_line(done.stderr, missing)


def test_a_study_nobody_sent(machine: Machine) -> None:
    done = machine.ahiflow("status", "1.2.3.4.5.6.7.8.9")
    assert done.returncode != 0
    assert_one_line(done.stderr, "1.2.3.4.5.6.7.8.9")
