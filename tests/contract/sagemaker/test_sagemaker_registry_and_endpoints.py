"""From a registered model to an answer of its endpoint: approval, blue/green, rollback, restart."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sagemaker_support import BUCKET, IMAGE, ROLE, Cloud, refusal, running_cloud, wait_until

GROUP = "ahi-models"
PACKAGE_EVENT = "SageMaker Model Package State Change"
ENDPOINT_EVENT = "SageMaker Endpoint State Change"


def model_archive(**facts: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        data = json.dumps(facts).encode()
        entry = tarfile.TarInfo("model.json")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _model_data(cloud: Cloud, key: str, **facts: Any) -> str:
    return cloud.put(f"{key}/model.tar.gz", model_archive(**facts))


def _package(cloud: Cloud, **facts: Any) -> str:
    specification = {
        "Containers": [{"Image": IMAGE, "ModelDataUrl": _model_data(cloud, "m", **facts)}],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    answer = cloud.sagemaker.create_model_package(ModelPackageGroupName=GROUP, InferenceSpecification=specification)
    return str(answer["ModelPackageArn"])


def _config(cloud: Cloud, name: str, container: dict[str, Any]) -> None:
    cloud.sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    cloud.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def _data(cloud: Cloud, name: str, **facts: Any) -> dict[str, Any]:
    return {"Image": IMAGE, "ModelDataUrl": _model_data(cloud, name, **facts)}


def _until(cloud: Cloud, status: str) -> dict[str, Any]:
    def reached() -> dict[str, Any] | None:
        answer = cloud.sagemaker.describe_endpoint(EndpointName="ahi-model")
        return answer if answer["EndpointStatus"] == status else None

    return dict(wait_until(f"the endpoint is {status}", reached))


def _invoke(cloud: Cloud, body: bytes = b"{}") -> dict[str, Any]:
    answer = cloud.runtime.invoke_endpoint(
        EndpointName="ahi-model", Body=body, ContentType="application/json", Accept="application/json"
    )
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    return dict(json.loads(answer["Body"].read()))


def test_versions_count_up_and_an_approval_is_an_event(cloud: Cloud) -> None:
    registry = cloud.sagemaker
    assert "does not exist" in refusal(registry.describe_model_package_group, ModelPackageGroupName=GROUP)
    registry.create_model_package_group(ModelPackageGroupName=GROUP)
    arns = [_package(cloud), _package(cloud)]
    assert [arn.rpartition("model-package/")[2] for arn in arns] == [f"{GROUP}/1", f"{GROUP}/2"]
    registry.update_model_package(
        ModelPackageArn=arns[1],
        ModelApprovalStatus="Approved",
        ApprovalDescription="reviewed",
        CustomerMetadataProperties={"signature": "s3://x/y", "gone": "1"},
    )
    registry.update_model_package(ModelPackageArn=arns[1], CustomerMetadataPropertiesToRemove=["gone"])
    package = registry.describe_model_package(ModelPackageName=arns[1])
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["CustomerMetadataProperties"] == {"signature": "s3://x/y"}
    assert package["LastModifiedTime"] >= package["CreationTime"]
    approved = registry.list_model_packages(ModelPackageGroupName=GROUP, ModelApprovalStatus="Approved")
    assert [item["ModelPackageArn"] for item in approved["ModelPackageSummaryList"]] == [arns[1]]
    details = wait_until("four events", lambda: cloud.bus.details(PACKAGE_EVENT)[3:]) and cloud.bus.details(
        PACKAGE_EVENT
    )
    assert [detail["ModelApprovalStatus"] for detail in details] == ["PendingManualApproval"] * 2 + ["Approved"] * 2
    assert (details[2]["ModelPackageGroupName"], details[2]["ModelPackageVersion"]) == (GROUP, 2)
    assert "ModelApprovalStatus" in details[2]["UpdatedModelPackageFields"]
    assert "ConflictException" in refusal(registry.delete_model_package_group, ModelPackageGroupName=GROUP)
    for arn in arns:
        registry.delete_model_package(ModelPackageName=arn)
    registry.delete_model_package_group(ModelPackageGroupName=GROUP)


def test_only_an_approved_package_becomes_a_model(cloud: Cloud) -> None:
    cloud.sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)
    arn = _package(cloud, version="from the package")
    request = {"ModelName": "m", "PrimaryContainer": {"ModelPackageName": arn}, "ExecutionRoleArn": ROLE}
    assert "not in Approved status" in refusal(cloud.sagemaker.create_model, **request)
    cloud.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    _config(cloud, "m", {"ModelPackageName": arn})
    cloud.sagemaker.create_endpoint(EndpointName="ahi-model", EndpointConfigName="m")
    _until(cloud, "InService")
    assert _invoke(cloud)["model"] == {"version": "from the package"}


def test_an_endpoint_answers_is_replaced_and_rolls_back(cloud: Cloud) -> None:
    _config(cloud, "one", _data(cloud, "one", version=1))
    _config(cloud, "two", _data(cloud, "two", version=2))
    _config(cloud, "bad", _data(cloud, "bad", broken=True))
    cloud.sagemaker.create_endpoint(EndpointName="ahi-model", EndpointConfigName="one")
    assert _until(cloud, "InService")["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    answer = _invoke(cloud, b'{"x": 1}')
    assert answer == {
        "echo": '{"x": 1}',
        "type": "application/json",
        "accept": "application/json",
        "model": {"version": 1},
    }

    cloud.sagemaker.update_endpoint(EndpointName="ahi-model", EndpointConfigName="two")
    wait_until("the new model answers", lambda: _invoke(cloud)["model"] == {"version": 2})
    assert _until(cloud, "InService")["EndpointConfigName"] == "two"

    cloud.sagemaker.update_endpoint(EndpointName="ahi-model", EndpointConfigName="bad")
    told = wait_until("rolled back", lambda: _until(cloud, "InService").get("FailureReason"))
    assert "did not pass the ping health check" in told
    assert "broken on purpose" in told
    assert _invoke(cloud)["model"] == {"version": 2}

    with pytest.raises(ClientError) as caught:
        _invoke(cloud, b"crash")
    assert caught.value.response["Error"]["Code"] == "ModelError"
    assert caught.value.response["OriginalStatusCode"] == 500
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424

    cloud.sagemaker.delete_endpoint(EndpointName="ahi-model")
    wait_until("gone", lambda: cloud.sagemaker.list_endpoints()["Endpoints"] == [])
    assert "ValidationError" in refusal(cloud.runtime.invoke_endpoint, EndpointName="ahi-model", Body=b"{}")
    statuses = [detail["EndpointStatus"] for detail in cloud.bus.details(ENDPOINT_EVENT)]
    assert statuses == [
        "CREATING", "IN_SERVICE", "UPDATING", "IN_SERVICE", "UPDATING", "ROLLING_BACK", "IN_SERVICE", "DELETING",
    ]  # fmt: skip


def test_a_model_that_does_not_load_fails_its_endpoint(cloud: Cloud) -> None:
    _config(cloud, "bad", _data(cloud, "bad", broken=True))
    cloud.sagemaker.create_endpoint(EndpointName="ahi-model", EndpointConfigName="bad")
    assert "broken on purpose" in _until(cloud, "Failed")["FailureReason"]
    missing = {"Image": IMAGE, "ModelDataUrl": f"s3://{BUCKET}/nowhere/model.tar.gz"}
    _config(cloud, "missing", missing)
    cloud.sagemaker.create_endpoint(EndpointName="other", EndpointConfigName="missing")
    reason = wait_until("failed", lambda: cloud.sagemaker.describe_endpoint(EndpointName="other").get("FailureReason"))
    assert "nowhere/model.tar.gz" in reason


def test_an_endpoint_survives_its_process_and_a_restart(tmp_path: Path, s3: Any) -> None:
    with running_cloud(tmp_path, s3) as cloud:
        _config(cloud, "one", _data(cloud, "one", version=1))
        cloud.sagemaker.create_endpoint(EndpointName="ahi-model", EndpointConfigName="one")
        _until(cloud, "InService")
        server = cloud.service._endpoints.server("ahi-model")
        assert server is not None
        assert server.identity is not None
        os.kill(server.identity["pid"], signal.SIGKILL)
        wait_until("the process is gone", lambda: not server.is_alive)
        assert "ModelNotReadyException" in refusal(cloud.runtime.invoke_endpoint, EndpointName="ahi-model", Body=b"{}")
        wait_until("it answers again", lambda: answers_version_one(cloud))
    with running_cloud(tmp_path, s3) as cloud:
        wait_until("it answers after the restart", lambda: answers_version_one(cloud))
        assert _until(cloud, "InService")["EndpointConfigName"] == "one"


def answers_version_one(cloud: Cloud) -> bool:
    try:
        return _invoke(cloud)["model"] == {"version": 1}
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ModelNotReadyException"
        return False


def test_what_cannot_be_hosted_is_refused(cloud: Cloud) -> None:
    _config(cloud, "one", _data(cloud, "one"))
    create = cloud.sagemaker.create_endpoint_config
    variant = {"VariantName": "a", "ModelName": "one", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    two = [variant, variant | {"VariantName": "b"}]
    assert "more than one production variant" in refusal(create, EndpointConfigName="c", ProductionVariants=two)
    other = [variant | {"ModelName": "other"}]
    assert "Could not find model" in refusal(create, EndpointConfigName="c", ProductionVariants=other)
    request = {"EndpointName": "ahi-model", "EndpointConfigName": "none"}
    assert "Could not find endpoint configuration" in refusal(cloud.sagemaker.create_endpoint, **request)
    assert 'Could not find endpoint "arn' in refusal(cloud.sagemaker.describe_endpoint, EndpointName="ahi-model")
    cloud.sagemaker.delete_endpoint_config(EndpointConfigName="one")
    cloud.sagemaker.delete_model(ModelName="one")
    assert cloud.sagemaker.list_models()["Models"] == []
    assert cloud.sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
