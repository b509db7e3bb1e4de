"""Read back what happened from the services themselves, never from what the demo believes it did."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ahiflow import keys
from ahiflow.environment import Environment
from ahiflow.s3uri import S3Uri

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Execution:
    """One pipeline execution as SageMaker describes it; times as POSIX seconds, ``ended`` None while it executes."""

    arn: str
    status: str
    started: float
    ended: float | None
    failure_reason: str
    image_set_id: str

    @property
    def execution_id(self) -> str:
        """The last part of the arn, which names the execution's folder in the artifacts bucket."""
        return self.arn.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Cloud:
    """The running cloud, asked through its public APIs. ``aws`` builds a client for a service."""

    environment: Environment
    aws: Callable[[str], Any]
    model_package_group: str

    def objects(self, bucket: str, prefix: str) -> Iterator[Json]:
        """Every object below a prefix, as ListObjectsV2 gives it."""
        for page in self.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from page.get("Contents", [])

    def read(self, bucket: str, key: str) -> bytes:
        """The bytes of one object."""
        body: bytes = self.aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    def read_json(self, bucket: str, key: str) -> Any:
        """One object, parsed."""
        return json.loads(self.read(bucket, key))

    def stored_instances(self) -> int:
        """Instances in the ingest bucket."""
        return sum(1 for _ in self.objects(self.environment.ingest_bucket, keys.INSTANCES))

    def batches(self) -> list[Json]:
        """Every batch manifest."""
        bucket = self.environment.ingest_bucket
        return [self.read_json(bucket, item["Key"]) for item in self.objects(bucket, keys.BATCHES)]

    def ended_import_jobs(self) -> list[Json]:
        """Summaries of the import jobs that are over."""
        pages = self.aws("medical-imaging").get_paginator("list_dicom_import_jobs")
        return [
            summary
            for page in pages.paginate(datastoreId=self.environment.datastore_id)
            for summary in page["jobSummaries"]
            if summary["jobStatus"] in ("COMPLETED", "FAILED")
        ]

    def import_job(self, job_id: str) -> Json:
        """All properties of an import job."""
        client = self.aws("medical-imaging")
        found: Json = client.get_dicom_import_job(datastoreId=self.environment.datastore_id, jobId=job_id)
        properties: Json = found["jobProperties"]
        return properties

    def import_jobs(self) -> list[Json]:
        """Every ended import job with all its properties."""
        return [self.import_job(summary["jobId"]) for summary in self.ended_import_jobs()]

    def import_summary(self, job: Json) -> Json:
        """The output manifest's ``jobSummary`` of an ended job."""
        uri = S3Uri.parse(job["outputS3Uri"]) / "job-output-manifest.json"
        summary: Json = self.read_json(uri.bucket, uri.key)["jobSummary"]
        return summary

    def import_failures(self, job: Json) -> list[Json]:
        """Lines of FAILURE/failure.ndjson; none when the file is absent."""
        uri = S3Uri.parse(job["outputS3Uri"]) / "FAILURE/failure.ndjson"
        found = [item["Key"] for item in self.objects(uri.bucket, uri.key)]
        return [json.loads(line) for key in found for line in self.read(uri.bucket, key).splitlines() if line.strip()]

    def image_sets(self) -> list[Json]:
        """Every image set's search summary."""
        pages = self.aws("medical-imaging").get_paginator("search_image_sets")
        return [
            summary
            for page in pages.paginate(datastoreId=self.environment.datastore_id)
            for summary in page["imageSetsMetadataSummaries"]
        ]

    def executions(self) -> list[Execution]:
        """Every execution of the pipeline, oldest first."""
        client = self.aws("sagemaker")
        pages = client.get_paginator("list_pipeline_executions").paginate(PipelineName=self.environment.pipeline_name)
        arns = [item["PipelineExecutionArn"] for page in pages for item in page["PipelineExecutionSummaries"]]
        return sorted((self._execution(client, arn) for arn in arns), key=lambda execution: execution.started)

    def statuses(self) -> dict[str, int]:
        """How many executions have which status; one call a page."""
        pages = self.aws("sagemaker").get_paginator("list_pipeline_executions")
        counts: dict[str, int] = {}
        for page in pages.paginate(PipelineName=self.environment.pipeline_name):
            for item in page["PipelineExecutionSummaries"]:
                status = item["PipelineExecutionStatus"]
                counts[status] = counts.get(status, 0) + 1
        return counts

    def steps(self, arn: str) -> list[Json]:
        """Steps of an execution in the order in which they began."""
        pages = self.aws("sagemaker").get_paginator("list_pipeline_execution_steps")
        steps = [step for page in pages.paginate(PipelineExecutionArn=arn) for step in page["PipelineExecutionSteps"]]
        return sorted(steps, key=lambda step: step["StartTime"])

    def model_packages(self) -> list[Json]:
        """Every model package of the group, described, newest first."""
        client = self.aws("sagemaker")
        pages = client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self.model_package_group, SortBy="CreationTime", SortOrder="Descending"
        )
        arns = [item["ModelPackageArn"] for page in pages for item in page["ModelPackageSummaryList"]]
        return [client.describe_model_package(ModelPackageName=arn) for arn in arns]

    def endpoint_status(self, name: str) -> str:
        """Status of an endpoint, "absent" when no such endpoint exists (yet)."""
        pages = self.aws("sagemaker").get_paginator("list_endpoints").paginate(NameContains=name)
        for page in pages:
            for item in page["Endpoints"]:
                if item["EndpointName"] == name:
                    return str(item["EndpointStatus"])
        return "absent"

    @staticmethod
    def _execution(client: Any, arn: str) -> Execution:
        found = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        parameters = client.list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)["PipelineParameters"]
        values = {item["Name"]: item["Value"] for item in parameters}
        executing = found["PipelineExecutionStatus"] in ("Executing", "Stopping")
        return Execution(
            arn=arn,
            status=found["PipelineExecutionStatus"],
            started=found["CreationTime"].timestamp(),
            ended=None if executing else found["LastModifiedTime"].timestamp(),
            failure_reason=found.get("FailureReason", ""),
            image_set_id=values.get("ImageSetId", ""),
        )
