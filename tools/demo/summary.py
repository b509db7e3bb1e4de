"""``build/demo/summary.json``: figures read back from the services, with a check that they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ahiflow import keys
from tools.demo.evidence import Cloud, Execution

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that the summary and the report are drawn from, read once."""

    executions: Sequence[Execution]
    image_sets: Sequence[Json]
    batches: Sequence[Json]
    import_jobs: Sequence[Json]
    import_summaries: Sequence[Json]
    import_failures: Sequence[Json]
    fetches: dict[str, Json]
    curations: dict[str, Json]
    model_packages: Sequence[Json]
    trained_by: Execution | None
    evaluation: Json | None
    dataset: Json | None
    stored: int


def gather(cloud: Cloud) -> Evidence:
    """Ask every service once. What does not exist (no training, say) is None, not an error."""
    bucket = cloud.environment.artifacts_bucket
    executions = cloud.executions()
    jobs = cloud.import_jobs()
    ended = [job for job in jobs if job["jobStatus"] == "COMPLETED"]
    written = {item["Key"] for item in cloud.objects(bucket, keys.EXECUTIONS)}
    fetches = _reports(cloud, executions, written, "fetch/fetch.json")
    curations = _reports(cloud, executions, written, "curation/curation.json")
    evaluations = _reports(cloud, executions, written, "evaluation/evaluation.json")
    packages = cloud.model_packages()
    trained_by = next((e for e in executions if e.execution_id in evaluations), None)
    evaluation = evaluations[trained_by.execution_id] if trained_by else None
    dataset = None
    if trained_by:
        dataset = cloud.read_json(bucket, f"{keys.EXECUTIONS}{trained_by.execution_id}/dataset/manifest.json")
    return Evidence(
        executions=executions,
        image_sets=cloud.image_sets(),
        batches=cloud.batches(),
        import_jobs=jobs,
        import_summaries=[cloud.import_summary(job) for job in ended],
        import_failures=[failure for job in ended for failure in cloud.import_failures(job)],
        fetches=fetches,
        curations=curations,
        model_packages=packages,
        trained_by=trained_by,
        evaluation=evaluation,
        dataset=dataset,
        stored=cloud.stored_instances(),
    )


def summarise(data: Json, sent: Json, evidence: Evidence, deployed: Json, seconds: Json) -> Json:
    """The document of the contract (issue: "Chain", checks). ``deployed`` holds endpoint and retrieved_model."""
    statuses = Counter(execution.status for execution in evidence.executions)
    metrics = (evidence.evaluation or {}).get("binary_classification_metrics", {})
    package = evidence.model_packages[0] if evidence.model_packages else {}
    return {
        "data": data,
        "instances": {
            "sent": sent["sent"],
            "acknowledged": sent["acknowledged"],
            "stored": evidence.stored,
            "imported": sum(item["numberOfImportedFiles"] for item in evidence.import_summaries),
            "refused": len(sent["refused"]),
        },
        "image_sets": len(evidence.image_sets),
        "executions": {
            "started": len(evidence.executions),
            "succeeded": statuses["Succeeded"],
            "failed": statuses["Failed"] + statuses["Stopped"],
        },
        "frames": {
            "fetched": sum(fetch["frames_fetched"] for fetch in evidence.fetches.values()),
            "verified": sum(fetch["frames_verified"] for fetch in evidence.fetches.values()),
        },
        "dataset": dataset_facts(evidence),
        "model": {
            "model_package_arn": package.get("ModelPackageArn"),
            "approval_status": package.get("ModelApprovalStatus"),
            "metrics": {
                name: {key: value for key, value in metric.items() if key in ("value", "ci95", "standard_deviation")}
                for name, metric in metrics.items()
                if isinstance(metric, dict) and "value" in metric
            },
        },
        **deployed,
        "seconds": seconds,
    }


def dataset_facts(evidence: Evidence) -> Json:
    """SHA-256 of the dataset that was trained on, and how many patients and image sets each split has."""
    if evidence.dataset is None or evidence.evaluation is None:
        return {"sha256": None, "patients": 0, "train": 0, "validation": 0, "test": 0}
    items = evidence.dataset["items"]
    splits = Counter(item["split"] for item in items)
    return {
        "sha256": evidence.evaluation["dataset_sha256"],
        "patients": len({item["patient_pseudonym"] for item in items}),
        **{split: splits[split] for split in ("train", "validation", "test")},
    }


def disagreements(summary: Json) -> list[str]:
    """Everything in which the counts do not agree; empty when each stage happened to every instance."""
    instances, executions, frames = summary["instances"], summary["executions"], summary["frames"]
    checks = {
        "instances sent, acknowledged, stored and imported differ": len(
            {instances[key] for key in ("sent", "acknowledged", "stored", "imported")}
        )
        != 1,
        "image sets and executions differ": summary["image_sets"] != executions["started"],
        "executions failed": executions["failed"] > 0 or executions["succeeded"] != executions["started"],
        "frames fetched and verified differ": frames["fetched"] != frames["verified"],
        "no frame was fetched": frames["fetched"] == 0,
        "no model package": summary["model"]["model_package_arn"] is None,
        "the model package is not approved": summary["model"]["approval_status"] != "Approved",
        "the endpoint gave no prediction": not summary["endpoint"]["prediction"],
        "no model was retrieved": not summary["retrieved_model"],
    }
    return [text for text, is_wrong in checks.items() if is_wrong]


def _reports(cloud: Cloud, executions: Sequence[Execution], written: set[str], name: str) -> dict[str, Json]:
    bucket = cloud.environment.artifacts_bucket
    found = {execution.execution_id: f"{keys.EXECUTIONS}{execution.execution_id}/{name}" for execution in executions}
    return {ident: cloud.read_json(bucket, key) for ident, key in found.items() if key in written}
