"""Functions, queues and rules in the cloud are those of the routes table, with the variables that the code reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from template_support import resources, text

from ahiflow import settings
from ahiflow.placeholders import fill
from ahiflow.routes import FUNCTIONS, ROUTES

Templates = dict[str, dict[str, Any]]
SETTINGS = {
    "start_import": settings.StartImportSettings,
    "record_import": settings.RecordImportSettings,
    "start_pipeline": settings.StartPipelineSettings,
    "deploy_model": settings.DeployModelSettings,
    "reconcile": settings.ReconcileSettings,
}
POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}
PLACEHOLDERS = {
    "IngestBucketName": "ahiflow-ingest-<AWS::AccountId>-us-east-1",
    "DatastoreId": "<ahiflow-datastore-id>",
    "PipelineArn": "arn:<AWS::Partition>:sagemaker:us-east-1:<AWS::AccountId>:pipeline/ahi-mlops-pipeline",
    "ModelPackageGroupName": "ahi-models",
}


def function_name(function: str) -> str:
    return f"ahiflow-{function.replace('_', '-')}"


def functions(templates: Templates) -> dict[str, dict[str, Any]]:
    found = resources({"spine": templates["spine"]}, "AWS::Lambda::Function").values()
    return {item["Properties"]["FunctionName"]: item["Properties"] for item in found}


def with_texts(value: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
        return text(value)
    if isinstance(value, dict):
        return {key: with_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_texts(item) for item in value]
    return value


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_exactly_the_variables_that_it_reads(templates: Templates, function: str) -> None:
    properties = functions(templates)[function_name(function)]
    variables = set(properties["Environment"]["Variables"])
    assert variables - POWERTOOLS == SETTINGS[function].names()
    assert properties["Environment"]["Variables"]["POWERTOOLS_SERVICE_NAME"] == function
    assert properties["Handler"] == f"lambdas.{function}.handler.handler"
    assert properties["Runtime"] == "python3.12"


def test_the_rules_are_the_routes(templates: Templates) -> None:
    rules = {item["Properties"]["Name"]: item for item in resources(templates, "AWS::Events::Rule").values()}
    assert set(rules) == {f"ahiflow-{route.name}" for route in ROUTES}
    for route in ROUTES:
        properties = rules[f"ahiflow-{route.name}"]["Properties"]
        assert properties["State"] == "ENABLED"
        assert properties.get("ScheduleExpression") == route.schedule
        assert with_texts(properties.get("EventPattern")) == (
            fill(route.pattern, PLACEHOLDERS) if route.pattern else None
        )


def test_each_rule_sends_to_the_queue_of_its_function(templates: Templates) -> None:
    spine = templates["spine"]["Resources"]
    mapped = {
        item["Properties"]["EventSourceArn"]["Fn::GetAtt"][0]: item["Properties"]
        for item in spine.values()
        if item["Type"] == "AWS::Lambda::EventSourceMapping"
    }
    for route in ROUTES:
        (rule,) = [item for item in spine.values() if item["Properties"].get("Name") == f"ahiflow-{route.name}"]
        (target,) = rule["Properties"]["Targets"]
        queue = target["Arn"]["Fn::GetAtt"][0]
        assert spine[queue]["Properties"]["QueueName"] == function_name(route.function)
        mapping = mapped[queue]
        assert spine[mapping["FunctionName"]["Ref"]]["Properties"]["FunctionName"] == function_name(route.function)
        # Without this, one bad message of ten makes nine come again.
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0] in spine


def test_every_queue_has_a_dead_letter_queue_with_an_alarm(templates: Templates) -> None:
    queues = {
        item["Properties"]["QueueName"]: item["Properties"] for item in resources(templates, "AWS::SQS::Queue").values()
    }
    dead = {name for name in queues if name.endswith("-dlq")}
    assert dead == {f"{function_name(function)}-dlq" for function in FUNCTIONS}
    spine = templates["spine"]["Resources"]
    for name in set(queues) - dead:
        redrive = queues[name]["RedrivePolicy"]
        target = spine[redrive["deadLetterTargetArn"]["Fn::GetAtt"][0]]["Properties"]["QueueName"]
        assert (target, redrive["maxReceiveCount"]) == (f"{name}-dlq", 5)
    alarms = [item["Properties"] for item in resources(templates, "AWS::CloudWatch::Alarm").values()]
    assert len(alarms) == len(dead)
    assert all(alarm["AlarmActions"] for alarm in alarms)


def test_a_queue_hides_a_message_longer_than_its_function_may_take(templates: Templates) -> None:
    spine = templates["spine"]["Resources"]
    for function in FUNCTIONS:
        (queue,) = [item for item in spine.values() if item["Properties"].get("QueueName") == function_name(function)]
        timeout = functions(templates)[function_name(function)]["Timeout"]
        assert queue["Properties"]["VisibilityTimeout"] >= 6 * timeout


def test_the_events_of_the_ingest_bucket_reach_eventbridge(templates: Templates) -> None:
    buckets = resources(templates, "AWS::S3::Bucket").values()
    (ingest,) = [item["Properties"] for item in buckets if "-ingest-" in json.dumps(item["Properties"]["BucketName"])]
    assert ingest["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True
