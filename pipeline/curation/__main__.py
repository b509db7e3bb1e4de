"""Entry point of CurateDataset: ``python -m pipeline.curation --execution-arn ARN``.

Light on purpose (no NumPy, no PyTorch): every image set starts one, and most end here.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ahiflow import aws
from ahiflow.aws_errors import translated
from ahiflow.errors import AhiflowError, MalformedMetadataError, NotFoundError
from ahiflow.image_set_document import IMAGE_SET_FILE, FetchReport, parse_image_set_document
from ahiflow.labels import find_labels
from ahiflow.object_store import ObjectStore
from ahiflow.pipeline_contract import (
    FETCH_FILE,
    OUTPUT_CURATION,
    OUTPUT_DATASET,
    OUTPUT_FETCH,
    container_root,
    processing_input,
    processing_output,
)
from ahiflow.s3uri import S3Uri
from pipeline.curation.claim import Claims
from pipeline.curation.decide import Decision, decide
from pipeline.curation.index import CuratedImageSet, put_record, read_records
from pipeline.curation.join import join_labels
from pipeline.curation.outputs import write_curation, write_dataset

log = logging.getLogger(__name__)


def curate(root: Path, execution_arn: str, s3: Any, sagemaker: Any) -> Decision:
    """Add the fetched image set, decide, and write the step's outputs under ``root``."""
    report = _fetch_report(processing_input(OUTPUT_FETCH, root) / FETCH_FILE)
    location = S3Uri.parse(report.image_set_uri)
    store = ObjectStore(s3, location.bucket)
    document = parse_image_set_document(store.get((location / IMAGE_SET_FILE).key).body)
    record = CuratedImageSet.from_document(document)
    put_record(store, record)
    decision = _decide(store, execution_arn, sagemaker)
    write_dataset(processing_output(OUTPUT_DATASET, root), decision.manifest, store.bucket)
    write_curation(processing_output(OUTPUT_CURATION, root), decision)
    return decision


def execution_status(sagemaker: Any, execution_arn: str) -> str | None:
    """PipelineExecutionStatus, or None for an execution that SageMaker does not know."""
    try:
        with translated("the execution that holds the claim"):
            answer = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn)
    except NotFoundError:
        return None
    return str(answer["PipelineExecutionStatus"])


def main(arguments: list[str] | None = None) -> int:
    """Run the step. An AhiflowError is one line, exit code 1, and the ExitMessage of the processing job."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.curation")
    parser.add_argument("--execution-arn", required=True)
    execution_arn = parser.parse_args(arguments).execution_arn
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stdout)
    root = container_root()
    try:
        decision = curate(root, execution_arn, aws.client("s3"), aws.client("sagemaker"))
    except AhiflowError as error:
        log.error("%s", error)
        message = root / "output" / "message"
        message.parent.mkdir(parents=True, exist_ok=True)
        message.write_text(str(error))
        return 1
    log.info("training_needed=%d: %s", decision.manifest is not None, decision.reason)
    return 0


def _decide(store: ObjectStore, execution_arn: str, sagemaker: Any) -> Decision:
    table = find_labels(store)
    if table is None:
        return Decision(reason="no labels are in force: put some with `ahiflow labels put`")
    claims = Claims(store, execution_arn, lambda arn: execution_status(sagemaker, arn))
    return decide(store, claims, table, join_labels(read_records(store), table))


def _fetch_report(path: Path) -> FetchReport:
    try:
        return FetchReport.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFoundError(f"input fetch: no {FETCH_FILE}") from error
    except ValidationError as error:
        raise MalformedMetadataError(f"{FETCH_FILE} breaks its schema ({error.error_count()} faults)") from error


if __name__ == "__main__":
    sys.exit(main())
