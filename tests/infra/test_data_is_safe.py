"""Images at rest and in transit, who may do what, and what a deletion leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from template_support import listed, resources, text

from ahiflow.ledger.schema import TABLE

Templates = dict[str, dict[str, Any]]
# Actions that AWS gives no resource to. Everything else must name one.
WITHOUT_RESOURCE = {
    "ecr:GetAuthorizationToken",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "cloudwatch:PutMetricData",
}


def statements(templates: Templates) -> Iterator[tuple[str, dict[str, Any]]]:
    for type_ in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        for name, resource in resources(templates, type_).items():
            for statement in listed(resource["Properties"]["PolicyDocument"]["Statement"]):
                yield name, statement
    for name, resource in resources(templates, "AWS::IAM::Role").items():
        for policy in resource["Properties"].get("Policies", []):
            for statement in listed(policy["PolicyDocument"]["Statement"]):
                yield name, statement


def test_no_permission_for_all_resources_but_where_aws_knows_none(templates: Templates) -> None:
    checked = 0
    for name, statement in statements(templates):
        checked += 1
        if "*" in [text(resource) for resource in listed(statement["Resource"])]:
            assert set(listed(statement["Action"])) <= WITHOUT_RESOURCE, name
    assert checked > 30


def test_no_permission_for_all_actions(templates: Templates) -> None:
    for name, statement in statements(templates):
        for action in listed(statement["Action"]):
            assert "*" not in action, (name, action)


def test_no_role_has_a_policy_of_aws_that_nobody_here_reviewed(templates: Templates) -> None:
    for name, role in resources(templates, "AWS::IAM::Role").items():
        attached = [text(policy) for policy in role["Properties"].get("ManagedPolicyArns", [])]
        # The one exception writes the log of the custom resource that empties buckets where data is not kept.
        assert not attached or "CustomS3AutoDeleteObjects" in name, (name, attached)


def test_passing_a_role_is_limited_to_one_role_and_service(templates: Templates) -> None:
    passing = [item for _, item in statements(templates) if "iam:PassRole" in listed(item["Action"])]
    assert passing
    for statement in passing:
        assert "*" not in text(statement["Resource"])
        assert statement["Condition"]["StringEquals"]["iam:PassedToService"]


def test_every_accepted_finding_says_why(templates: Templates) -> None:
    accepted = 0
    for template in templates.values():
        for resource in template["Resources"].values():
            for rule in resource.get("Metadata", {}).get("cdk_nag", {}).get("rules_to_suppress", []):
                accepted += 1
                assert len(rule["reason"]) > 15, rule
    assert accepted


def test_buckets_are_private_encrypted_and_versioned(templates: Templates) -> None:
    buckets = resources(templates, "AWS::S3::Bucket")
    assert len(buckets) == 3
    for name, bucket in buckets.items():
        properties = bucket["Properties"]
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        algorithm = rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"]
        assert algorithm == ("AES256" if "AccessLogs" in name else "aws:kms")
        assert all(properties["PublicAccessBlockConfiguration"].values())
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert properties["LifecycleConfiguration"]["Rules"]


def test_buckets_queues_and_topics_refuse_plain_http(templates: Templates) -> None:
    guarded = set()
    for type_, key in (
        ("AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SQS::QueuePolicy", "Queues"),
        ("AWS::SNS::TopicPolicy", "Topics"),
    ):
        for resource in resources(templates, type_).values():
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                insecure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
                if statement["Effect"] == "Deny" and insecure:
                    guarded |= {text(item) for item in listed(resource["Properties"][key])}
    made = {
        f"<{name.split('/')[1]}>"
        for type_ in ("AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic")
        for name in resources(templates, type_)
    }
    assert guarded == made


def test_the_ledger_is_the_table_that_the_code_uses(templates: Templates) -> None:
    (table,) = resources(templates, "AWS::DynamoDB::Table").values()
    properties = table["Properties"]
    assert properties["TableName"] == "ahiflow-ledger"
    assert properties["KeySchema"] == TABLE["KeySchema"]
    assert properties["GlobalSecondaryIndexes"] == TABLE["GlobalSecondaryIndexes"]
    by_name = {item["AttributeName"]: item for item in properties["AttributeDefinitions"]}
    assert by_name == {item["AttributeName"]: item for item in TABLE["AttributeDefinitions"]}


def test_the_network_has_no_way_out(templates: Templates) -> None:
    network = templates["network"]
    types = {resource["Type"] for resource in network["Resources"].values()}
    assert not types & {"AWS::EC2::NatGateway", "AWS::EC2::InternetGateway"}
    (balancer,) = resources(templates, "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    assert balancer["Properties"]["Scheme"] == "internal"
    groups = resources({"ingest": templates["ingest"]}, "AWS::EC2::SecurityGroup").values()
    open_to = [rule["CidrIp"] for group in groups for rule in group["Properties"].get("SecurityGroupIngress", [])]
    assert open_to == ["10.0.0.0/8"]


def test_the_approval_key_signs_and_the_data_key_rotates(templates: Templates) -> None:
    keys = [item["Properties"] for item in resources(templates, "AWS::KMS::Key").values()]
    assert sorted((key.get("KeySpec"), key.get("KeyUsage")) for key in keys if "KeySpec" in key) == [
        ("ECC_NIST_P256", "SIGN_VERIFY")
    ]
    assert [key["EnableKeyRotation"] for key in keys if "KeySpec" not in key] == [True]


@pytest.mark.parametrize(
    "type_", ["AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::SecretsManager::Secret"]
)
def test_dev_leaves_nothing_and_prod_keeps_data(templates: Templates, given_resources: Templates, type_: str) -> None:
    assert {item["DeletionPolicy"] for item in resources(templates, type_).values()} == {"Delete"}
    assert {item["DeletionPolicy"] for item in resources(given_resources, type_).values()} == {"Retain"}


def test_a_given_data_store_and_bucket_are_used_and_not_made(
    given_resources: Templates, given_resources_folder: Path
) -> None:
    assert not resources(given_resources, "AWS::HealthImaging::Datastore")
    names = [
        json.dumps(item["Properties"]["BucketName"]) for item in resources(given_resources, "AWS::S3::Bucket").values()
    ]
    assert not [name for name in names if "artifacts" in name]
    variables = {
        item["Properties"]["FunctionName"]: item["Properties"]["Environment"]["Variables"]
        for item in resources({"spine": given_resources["spine"]}, "AWS::Lambda::Function").values()
    }
    assert variables["ahiflow-start-import"]["DATASTORE_ID"] == "d" * 32
    assert variables["ahiflow-start-import"]["ARTIFACTS_BUCKET_NAME"] == "given-bucket"


def test_the_outputs_say_what_a_person_needs(templates: Templates) -> None:
    outputs = {name for template in templates.values() for name in template.get("Outputs", {})}
    assert {
        "IngestBucketName",
        "ArtifactsBucketName",
        "LedgerTableName",
        "ApprovalKeyArn",
        "PseudonymSecretId",
        "DatastoreId",
        "DicomHost",
        "DicomPort",
        "PipelineArn",
        "RuleImageSetVersion",
        "AlarmTopicArn",
    } <= outputs
