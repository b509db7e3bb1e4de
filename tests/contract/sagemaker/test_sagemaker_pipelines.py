"""Executions: what is refused before anything runs, tokens, stop, retry, limits, events."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sagemaker_support import (
    IMAGE,
    ROLE,
    Cloud,
    condition,
    processing,
    program_pids,
    refusal,
    running_cloud,
    wait_until,
)

from localcloud.sagemaker.context import Limits
from localcloud.sagemaker.definition import parse_definition
from localcloud.sagemaker.errors import ServiceError

EXECUTION_EVENT = "SageMaker Model Building Pipeline Execution Status Change"
STEP_EVENT = "SageMaker Model Building Pipeline Execution Step Status Change"


def _create(cloud: Cloud, steps: list[Any], parameters: list[Any] | None = None) -> str:
    text = json.dumps({"Version": "2020-12-01", "Parameters": parameters or [], "Steps": steps})
    return refusal(cloud.sagemaker.create_pipeline, PipelineName="p", PipelineDefinition=text, RoleArn=ROLE)


def _get(path: str) -> dict[str, str]:
    return {"Get": path}


BAD_DEFINITIONS: dict[str, tuple[list[Any], str]] = {
    "unsupported step type": ([{"Name": "T", "Type": "Transform", "Arguments": {}}], "has the type Transform"),
    "unknown parameter": ([processing("A", _get("Parameters.Nothing"))], "no parameter Nothing"),  # type: ignore[arg-type]
    "unknown step": ([processing("A", DependsOn=["B"])], "'B', which is no step"),
    "circle": ([processing("A", DependsOn=["B"]), processing("B", DependsOn=["A"])], "in a circle"),
    "same name twice": ([processing("A"), condition("C", [{"Type": "Not", "Condition": {}}], [processing("A")], [])],
                        "Two steps have the name A"),
    "unknown member": ([processing("A", arguments={"ProcessingInput": []})], "Unknown member"),
    "wrong enum": ([processing("A", arguments={"ProcessingResources": {
        "ClusterConfig": {"InstanceType": "ml.huge", "InstanceCount": 1, "VolumeSizeInGB": 1}}})], "ml.huge"),
    "missing member": ([{"Name": "A", "Type": "Processing", "Arguments": {"RoleArn": ROLE}}], "AppSpecification"),
    "unknown condition": ([condition("C", [{"Type": "Like", "LeftValue": 1, "RightValue": 1}], [], [])], "'Like'"),
    "no such property": ([processing("A"), processing("B", _get("Steps.A.Nothing.X"))], "no property Nothing.X"),  # type: ignore[arg-type]
    "no such property file": (
        [processing("A"), condition("C", [{"Type": "Equals", "LeftValue": {"Std:JsonGet": {
            "PropertyFile": _get("Steps.A.PropertyFiles.F"), "Path": "x"}}, "RightValue": 1}], [], [])],
        "no property file F"),
    "unknown function": ([processing("A", {"Std:Split": {}})], "Std:Split"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DEFINITIONS)
def test_a_bad_definition_says_what_is_wrong(case: str) -> None:
    steps, told = BAD_DEFINITIONS[case]
    with pytest.raises(ServiceError, match=re.escape(told)) as caught:
        parse_definition(json.dumps({"Version": "2020-12-01", "Steps": steps}))
    assert caught.value.code == "ValidationException"


def test_a_bad_definition_is_refused_before_anything_is_created(cloud: Cloud) -> None:
    told = _create(cloud, [{"Name": "T", "Type": "Transform", "Arguments": {}}])
    assert told.startswith("ValidationException: Unable to parse pipeline definition. The step T has the type")
    for text in ("not json", "[]", '{"Version": "2019-01-01", "Steps": []}'):
        request = {"PipelineName": "p", "PipelineDefinition": text, "RoleArn": ROLE}
        assert "Unable to parse pipeline definition" in refusal(cloud.sagemaker.create_pipeline, **request)
    assert cloud.sagemaker.list_pipelines()["PipelineSummaries"] == []


def test_parameters_are_asked_for_by_name(cloud: Cloud) -> None:
    cloud.pipeline(
        processing("A", "write", "x", {"Std:Join": {"On": "", "Values": [_get("Parameters.Count")]}}),  # type: ignore[arg-type]
        parameters=[
            {"Name": "ImageSetId", "Type": "String"},
            {"Name": "Count", "Type": "Integer", "DefaultValue": 3},
            {"Name": "Mode", "Type": "String", "DefaultValue": "a", "EnumValues": ["a", "b"]},
        ],
    )
    start = cloud.sagemaker.start_pipeline_execution
    given = {"Name": "ImageSetId", "Value": "x"}
    assert "ValidationException: Parameters [ImageSetId]" in refusal(start, PipelineName="chain")
    for extra, told in (
        ("Nope", "[Nope] are not defined"),
        ("Count", "Count is no Integer"),
        ("Mode", "Mode is not one"),
    ):
        parameters = [given, {"Name": extra, "Value": "z"}]
        assert told in refusal(start, PipelineName="chain", PipelineParameters=parameters)
    assert "ResourceNotFound" in refusal(start, PipelineName="other", PipelineParameters=[given])
    arn = start(PipelineName="chain", PipelineParameters=[given, {"Name": "Count", "Value": "7"}])[
        "PipelineExecutionArn"
    ]
    assert cloud.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    listed = cloud.sagemaker.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
    assert {item["Name"]: item["Value"] for item in listed} == {"ImageSetId": "x", "Count": "7", "Mode": "a"}


def test_one_token_is_one_execution_also_after_a_restart(tmp_path: Path, s3: Any) -> None:
    with running_cloud(tmp_path, s3) as cloud:
        cloud.pipeline(processing("A"))
        start = {"PipelineName": "chain", "ClientRequestToken": "a" * 64}
        first = cloud.sagemaker.start_pipeline_execution(**start)["PipelineExecutionArn"]
        assert cloud.sagemaker.start_pipeline_execution(**start)["PipelineExecutionArn"] == first
        assert cloud.end(first)["PipelineExecutionStatus"] == "Succeeded"
    with running_cloud(tmp_path, s3) as cloud:
        assert cloud.sagemaker.start_pipeline_execution(**start)["PipelineExecutionArn"] == first
        assert len(cloud.sagemaker.list_pipeline_executions(PipelineName="chain")["PipelineExecutionSummaries"]) == 1
        changed = start | {"PipelineExecutionDescription": "another request"}
        assert "ConflictException" in refusal(cloud.sagemaker.start_pipeline_execution, **changed)


def test_a_failed_step_fails_the_execution_and_a_retry_goes_on_from_there(cloud: Cloud, tmp_path: Path) -> None:
    cloud.pipeline(processing("A", "write", "a.txt", "1"), processing("B", "write", "b.txt", "2", DependsOn=["A"]))
    cloud.service.faults.fail_step("B", "ClientError: injected")
    arn = cloud.start()
    end = cloud.end(arn)
    assert end["PipelineExecutionStatus"] == "Failed"
    assert end["FailureReason"] == "Step failure: One or multiple steps failed."
    steps = cloud.steps(arn)
    assert (steps["B"]["StepStatus"], steps["B"]["FailureReason"]) == ("Failed", "ClientError: injected")
    first_job = steps["A"]["Metadata"]["ProcessingJob"]["Arn"]
    cloud.sagemaker.retry_pipeline_execution(PipelineExecutionArn=arn)
    assert cloud.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    steps = cloud.steps(arn)
    assert steps["A"]["Metadata"]["ProcessingJob"]["Arn"] == first_job
    assert steps["B"]["AttemptCount"] == 2
    assert "ConflictException" in refusal(cloud.sagemaker.retry_pipeline_execution, PipelineExecutionArn=arn)


def test_a_failed_program_says_why(cloud: Cloud) -> None:
    cloud.pipeline(processing("A", "fail", "the image set has no frames"))
    arn = cloud.start()
    cloud.end(arn)
    reason = cloud.steps(arn)["A"]["FailureReason"]
    assert reason == "ClientError: AlgorithmError: the image set has no frames, exit code: 3"
    job = cloud.sagemaker.list_processing_jobs()["ProcessingJobSummaries"][0]
    assert (job["ProcessingJobStatus"], job["ExitMessage"]) == ("Failed", "the image set has no frames")


def test_stop_ends_the_jobs_and_starts_nothing_more(cloud: Cloud, tmp_path: Path) -> None:
    cloud.pipeline(processing("A", "wait", str(tmp_path / "never")), processing("B", DependsOn=["A"]))
    arn = cloud.start()
    wait_until("the program runs", lambda: program_pids(cloud.state))
    cloud.sagemaker.stop_pipeline_execution(PipelineExecutionArn=arn)
    assert cloud.end(arn)["PipelineExecutionStatus"] == "Stopped"
    assert {name: step["StepStatus"] for name, step in cloud.steps(arn).items()} == {"A": "Stopped"}
    assert program_pids(cloud.state) == []
    assert "ConflictException" in refusal(cloud.sagemaker.stop_pipeline_execution, PipelineExecutionArn=arn)


def test_forty_executions_share_the_slots(tmp_path: Path, s3: Any) -> None:
    with running_cloud(tmp_path, s3, limits=Limits(job_slots=2)) as cloud:
        cloud.pipeline(processing("A", "wait", str(tmp_path / "go")))
        arns = [cloud.start() for _ in range(40)]
        wait_until("two programs run", lambda: len(program_pids(cloud.state)) == 2)
        steps = [cloud.steps(arn).get("A") for arn in (arns[0], arns[-1])]
        assert all(step is None or step["StepStatus"] in ("Starting", "Executing") for step in steps)
        assert len(program_pids(cloud.state)) == 2
        (tmp_path / "go").touch()
        assert {cloud.end(arn)["PipelineExecutionStatus"] for arn in arns} == {"Succeeded"}


def test_events_tell_every_change_once_the_bus_is_back(cloud: Cloud) -> None:
    cloud.bus.is_down = True
    pipeline_arn = cloud.pipeline(processing("A"))
    arn = cloud.start()
    cloud.end(arn)
    assert cloud.bus.events == []
    cloud.bus.is_down = False
    events = wait_until("the last event", lambda: len(cloud.bus.details(EXECUTION_EVENT)) == 2) and cloud.bus
    first, last = events.details(EXECUTION_EVENT)
    assert first["currentPipelineExecutionStatus"] == "Executing"
    assert (last["previousPipelineExecutionStatus"], last["currentPipelineExecutionStatus"]) == (
        "Executing",
        "Succeeded",
    )
    assert (last["pipelineArn"], last["pipelineExecutionArn"]) == (pipeline_arn, arn)
    statuses = [detail["currentStepStatus"] for detail in events.details(STEP_EVENT)]
    assert statuses == ["Starting", "Executing", "Succeeded"]
    step = events.details(STEP_EVENT)[-1]
    assert (step["stepName"], step["stepType"]) == ("A", "Processing")
    assert step["metadata"]["processingJob"]["arn"].startswith(
        "arn:aws:sagemaker:us-east-1:123456789012:processing-job/"
    )
    jobs = [detail["ProcessingJobStatus"] for detail in events.details("SageMaker Processing Job State Change")]
    assert jobs == ["InProgress", "Completed"]


def test_definitions_are_those_of_the_start(cloud: Cloud) -> None:
    cloud.pipeline(processing("A"))
    arn = cloud.start()
    before = cloud.sagemaker.describe_pipeline(PipelineName="chain")["PipelineDefinition"]
    other = json.dumps({"Version": "2020-12-01", "Steps": [processing("B")]})
    cloud.sagemaker.update_pipeline(PipelineName="chain", PipelineDefinition=other)
    answer = cloud.sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
    assert answer["PipelineDefinition"] == before
    cloud.end(arn)
    assert set(cloud.steps(arn)) == {"A"}
    assert set(cloud.steps(_ended(cloud))) == {"B"}
    cloud.sagemaker.delete_pipeline(PipelineName="chain")
    assert "ResourceNotFound" in refusal(cloud.sagemaker.describe_pipeline, PipelineName="chain")
    assert (
        cloud.sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Succeeded"
    )


def _ended(cloud: Cloud) -> str:
    arn = cloud.start()
    cloud.end(arn)
    return arn


def test_conditions_compare_and_steps_wait_for_whole_branches(cloud: Cloud) -> None:
    count = _get("Parameters.Count")
    conditions = [
        {"Type": "GreaterThan", "LeftValue": count, "RightValue": 2},
        {"Type": "Or", "Conditions": [
            {"Type": "LessThanOrEqualTo", "LeftValue": count, "RightValue": 0},
            {"Type": "Not", "Condition": {"Type": "In", "QueryValue": count, "Values": [4, 5]}},
        ]},
    ]  # fmt: skip
    after = condition(
        "After", [{"Type": "Equals", "LeftValue": _get("Steps.Ask.Outcome"), "RightValue": "True"}], [], []
    )
    cloud.pipeline(
        condition("Ask", conditions, [processing("Yes")], [processing("No")]),
        processing("Behind", DependsOn=["Yes"]),
        after | {"DependsOn": ["Ask"]},
        parameters=[{"Name": "Count", "Type": "Integer", "DefaultValue": 3}],
    )
    arn = _ended(cloud)
    assert set(cloud.steps(arn)) == {"Ask", "Yes", "After", "Behind"}
    assert cloud.steps(arn)["After"]["StartTime"] >= cloud.steps(arn)["Yes"]["EndTime"]
    arn = cloud.start(Count="4")
    assert cloud.end(arn)["PipelineExecutionStatus"] == "Succeeded"
    assert set(cloud.steps(arn)) == {"Ask", "No", "After"}


def test_values_that_cannot_be_compared_fail_the_step(cloud: Cloud) -> None:
    cloud.pipeline(condition("Ask", [{"Type": "LessThan", "LeftValue": 1, "RightValue": "2"}], [], []))
    arn = _ended(cloud)
    assert cloud.steps(arn)["Ask"]["FailureReason"] == (
        "ClientError: Cannot compare the number 1 and the string '2' by LessThan"
    )


def test_resolved_arguments_are_held_against_the_request_shape(cloud: Cloud) -> None:
    cloud.pipeline(processing("A", _get("Parameters.Count")), parameters=[  # type: ignore[arg-type]
        {"Name": "Count", "Type": "Integer", "DefaultValue": 3}])  # fmt: skip
    arn = _ended(cloud)
    assert "Invalid type for parameter AppSpecification.ContainerArguments" in cloud.steps(arn)["A"]["FailureReason"]


def test_faults_throttle_an_operation_once(cloud: Cloud) -> None:
    cloud.service.faults.fail_operation("ListPipelines")
    assert "ThrottlingException" in refusal(cloud.sagemaker.list_pipelines)
    assert cloud.sagemaker.list_pipelines()["PipelineSummaries"] == []


def test_unknown_operations_and_members_are_refused(cloud: Cloud) -> None:
    assert "UnknownOperationException" in refusal(cloud.sagemaker.list_domains)
    assert "ValidationException" in refusal(cloud.sagemaker.describe_pipeline, PipelineName="not a name!")


def test_pages(cloud: Cloud) -> None:
    for number in range(5):
        cloud.pipeline(processing("A"), name=f"p{number}")
    pages = cloud.sagemaker.get_paginator("list_pipelines").paginate(
        SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    names = [[item["PipelineName"] for item in page["PipelineSummaries"]] for page in pages]
    assert names == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert "Invalid NextToken" in refusal(cloud.sagemaker.list_pipelines, NextToken="bm90aGluZw==")


def test_the_aws_command_line_starts_and_follows_an_execution(cloud: Cloud) -> None:
    cloud.pipeline(processing("A"), parameters=[{"Name": "ImageSetId", "Type": "String"}])
    command = Path(sys.executable).with_name("aws")
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }

    def aws(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [str(command), "sagemaker", *arguments]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)

    parameters = '[{"Name":"ImageSetId","Value":"abc"}]'
    started = aws("start-pipeline-execution", "--pipeline-name", "chain", "--pipeline-parameters", parameters)
    arn = json.loads(started.stdout)["PipelineExecutionArn"]
    cloud.end(arn)
    listed = json.loads(aws("list-pipeline-execution-steps", "--pipeline-execution-arn", arn).stdout)
    assert [step["StepStatus"] for step in listed["PipelineExecutionSteps"]] == ["Succeeded"]
    refused = aws("start-pipeline-execution", "--pipeline-name", "chain")
    assert refused.returncode != 0
    assert "[ImageSetId]" in refused.stderr


def test_a_model_step_makes_a_model_of_a_definition_from_s3(cloud: Cloud) -> None:
    step = {
        "Name": "Create_Model",
        "Type": "Model",
        "Arguments": {
            "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://artifacts/model.tar.gz", "Environment": {}},
        },
    }
    behind = processing("Behind", "write", "model.txt", _get("Steps.Create_Model.ModelName"))  # type: ignore[arg-type]
    cloud.put("definition.json", {"Version": "2020-12-01", "Metadata": {}, "Steps": [step, behind]})
    location = {"Bucket": "artifacts", "ObjectKey": "definition.json"}
    cloud.sagemaker.create_pipeline(PipelineName="chain", PipelineDefinitionS3Location=location, RoleArn=ROLE)
    arn = _ended(cloud)
    model = cloud.sagemaker.list_models()["Models"][0]
    assert cloud.steps(arn)["Create_Model"]["Metadata"] == {"Model": {"Arn": model["ModelArn"]}}
    written = cloud.read(f"s3://artifacts/executions/{arn.rpartition('/')[2]}/Behind/model.txt")
    assert written.decode() == model["ModelName"]
    assert model["ModelName"].startswith(f"pipelines-{arn.rpartition('/')[2]}-Create-Model-")


def test_the_image_decides_what_starts(cloud: Cloud) -> None:
    unknown = IMAGE.replace("ahiflow/test", "ahiflow/other")
    step = processing("A", arguments={"AppSpecification": {"ImageUri": unknown}})
    cloud.pipeline(step)
    arn = _ended(cloud)
    assert f"Cannot find repository of the image {unknown}" in cloud.steps(arn)["A"]["FailureReason"]
