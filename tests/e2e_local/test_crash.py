"""kill -9 at a bad moment: nothing acknowledged is lost, and what was cut off is finished or reported as failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from machine_support import Machine, wait_until
from pydicom.data import get_testdata_file

FILES = ("CT_small.dcm", "MR_small.dcm", "examples_rgb_color.dcm")


def executions(machine: Machine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = machine.client("sagemaker").list_pipeline_executions(
        PipelineName=machine.facts["pipeline_name"]
    )["PipelineExecutionSummaries"]
    return found


def image_sets(machine: Machine) -> set[str]:
    pages = machine.client("medical-imaging").get_paginator("search_image_sets")
    return {
        item["imageSetId"]
        for page in pages.paginate(datastoreId=machine.facts["datastore_id"])
        for item in page["imageSetsMetadataSummaries"]
    }


def instances(machine: Machine) -> set[str]:
    found = machine.client("s3").list_objects_v2(Bucket=machine.facts["ingest_bucket"], Prefix="instances/")
    return {item["Key"] for item in found.get("Contents", [])}


def test_kill_9_in_the_middle_of_executions(fresh_machine: Machine) -> None:
    machine = fresh_machine
    files = [str(get_testdata_file(name)) for name in FILES]
    done = machine.ahiflow("send", *files, "--json")
    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    wait_until(lambda: executions(machine), "a first execution")
    stored = instances(machine)
    assert len(stored) == sent["acknowledged"] == len(FILES)
    tokens = {item["PipelineExecutionArn"] for item in executions(machine)}
    datastore = machine.facts["datastore_id"]

    machine.kill_everything()
    machine.up()

    assert machine.facts["datastore_id"] == datastore
    assert instances(machine) == stored
    wait_until(lambda: len(image_sets(machine)) == len(FILES), "every image set")
    wait_until(
        lambda: (
            (found := executions(machine))
            and len(found) >= len(FILES)
            and all(item["PipelineExecutionStatus"] != "Executing" for item in found)
        ),
        "the end of every execution",
        seconds=240,
    )
    after = executions(machine)
    assert tokens <= {item["PipelineExecutionArn"] for item in after}, "an execution vanished"
    assert len(after) == len(FILES), "an image set has more or fewer than one execution"
    for item in after:
        if item["PipelineExecutionStatus"] == "Failed":
            found = machine.client("sagemaker").describe_pipeline_execution(
                PipelineExecutionArn=item["PipelineExecutionArn"]
            )
            assert found["FailureReason"]


def test_kill_9_right_after_the_last_acknowledgement(fresh_machine: Machine) -> None:
    machine = fresh_machine
    files = [str(get_testdata_file(name)) for name in FILES]
    done = machine.ahiflow("send", *files, "--json")
    machine.kill_everything()
    acknowledged = json.loads(done.stdout)["acknowledged"]
    assert acknowledged == len(FILES)
    machine.up()
    assert len(instances(machine)) == acknowledged
    wait_until(lambda: len(image_sets(machine)) == acknowledged, "every acknowledged instance's image set")
    wait_until(lambda: len(executions(machine)) == acknowledged, "an execution for each image set")


def test_models_and_approvals_survive(fresh_machine: Machine, tmp_path: Path) -> None:
    machine = fresh_machine
    client, group = machine.client("sagemaker"), machine.shell["AHIFLOW_MODEL_PACKAGE_GROUP_NAME"]
    artefact = tmp_path / "model.tar.gz"
    artefact.write_bytes(b"not a real model, but a real artefact to sign")
    bucket = machine.facts["artifacts_bucket"]
    machine.client("s3").upload_file(str(artefact), bucket, "models/by-hand/model.tar.gz")
    arn = client.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification={
            "Containers": [
                {
                    "Image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow/learning:local",
                    "ModelDataUrl": f"s3://{bucket}/models/by-hand/model.tar.gz",
                }
            ],
            "SupportedContentTypes": ["application/dicom"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    approved = machine.ahiflow("models", "approve", arn, "--as", "Test Approver", "--reason", "crash test")
    assert approved.returncode == 0, approved.stderr

    machine.kill_everything()
    machine.up()

    found = machine.client("sagemaker").describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == "Approved"
    verified = machine.ahiflow("models", "verify", arn)
    assert verified.returncode == 0, verified.stderr

    machine.client("s3").put_object(Bucket=bucket, Key="models/by-hand/model.tar.gz", Body=b"one byte differs")
    tampered = machine.ahiflow("models", "verify", arn)
    assert tampered.returncode != 0, "a changed artefact must not verify"
