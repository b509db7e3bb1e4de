"""Ask the deployed endpoint about one held-out image set, with the pixels as the PACS sent them."""

from __future__ import annotations

import json
from typing import Any

from ahiflow import keys
from ahiflow.errors import WorkFailedError
from tools.demo.evidence import Cloud
from tools.demo.summary import Evidence


def predict_on_test_study(cloud: Cloud, evidence: Evidence, endpoint_name: str) -> dict[str, Any]:
    """Send one received DICOM instance of a test image set to the endpoint; what it answers, and the ``true_label``.

    The instance is found by the import job's own record of which file went into which image set.
    Raises WorkFailedError when the dataset has no test image set or its file is not in the ingest bucket.
    """
    items = (evidence.dataset or {}).get("items", [])
    tested = sorted(item["image_set_id"] for item in items if item["split"] == "test")
    if not tested:
        raise WorkFailedError("no held-out image set to ask the endpoint about")
    key = _an_instance_of(cloud, evidence, tested[0])
    body = cloud.read(cloud.environment.ingest_bucket, key)
    response = cloud.aws("sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint_name, ContentType="application/dicom", Accept="application/json", Body=body
    )
    answer: dict[str, Any] = json.loads(response["Body"].read())
    label = next(int(item["label"]) for item in items if item["image_set_id"] == tested[0])
    return answer | {"true_label": (evidence.dataset or {})["class_names"][label]}


def _an_instance_of(cloud: Cloud, evidence: Evidence, image_set_id: str) -> str:
    bucket = cloud.environment.artifacts_bucket
    for item in cloud.objects(bucket, keys.IMPORTS):
        if not item["Key"].endswith("SUCCESS/success.ndjson"):
            continue
        lines = [json.loads(line) for line in cloud.read(bucket, item["Key"]).splitlines() if line.strip()]
        found = sorted(line["inputFile"] for line in lines if line["importResponse"]["imageSetId"] == image_set_id)
        if found:
            return str(found[len(found) // 2])
    raise WorkFailedError(f"no imported file is recorded for image set {image_set_id}")
