"""CurateDataset: of many executions at once exactly one trains, and every other says why it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from ahiflow import keys
from ahiflow.labels import LabelTable, TrainWhen, WhenComplete, WhenEnough, put_labels
from ahiflow.object_store import ObjectStore
from ahiflow.pseudonym import Pseudonyms
from pipeline.curation.__main__ import curate
from tests.learning_support import DATASTORE, KEY, write_image_set

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/ahi-mlops-pipeline/execution/"


class Executions:
    """Stands for SageMaker: PipelineExecutionStatus by execution."""

    def __init__(self) -> None:
        self.statuses: dict[str, str] = {}

    def describe_pipeline_execution(self, *, PipelineExecutionArn: str) -> dict[str, Any]:
        if PipelineExecutionArn not in self.statuses:
            error = {"Error": {"Code": "ResourceNotFound"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
            raise ClientError(error, "DescribePipelineExecution")  # type: ignore[arg-type]
        return {"PipelineExecutionStatus": self.statuses[PipelineExecutionArn]}


class Bench:
    """A bucket with image sets as the fetcher leaves them, and executions that curate them."""

    def __init__(self, root: Path, s3: Any) -> None:
        self.root, self.s3 = root, s3
        self.store = ObjectStore(s3, "artifacts")
        self.executions = Executions()

    def fetch(self, name: str, patient: str, seed: int, slices: int = 1) -> list[str]:
        """Put one image set into the bucket; the SOP Instance UIDs of its slices."""
        pixels = np.random.default_rng(seed).integers(0, 2000, (slices, 8, 8)).astype(np.int16)
        uids = [f"1.2.{seed}.{i}" for i in range(slices)]
        document = write_image_set(self.root / "images", name, patient, pixels, uids=uids)
        prefix = keys.image_set_prefix(DATASTORE, document.image_set_id, "1")
        self.store.put(prefix + "image_set.json", document.model_dump_json().encode())
        report = {
            "image_set_uri": f"s3://artifacts/{prefix}",
            "datastore_id": DATASTORE,
            "image_set_id": document.image_set_id,
            "version_id": "1",
            "is_primary": True,
            "frames_fetched": slices,
            "frames_verified": slices,
        }
        folder = self.root / name / "processing" / "input" / "fetch"
        folder.mkdir(parents=True)
        (folder / "fetch.json").write_text(json.dumps(report))
        return uids

    def label(self, labels: dict[str, int], when: TrainWhen) -> None:
        pseudonyms = Pseudonyms(KEY)
        hashes = {pseudonyms.sop_instance(uid): label for uid, label in labels.items()}
        table = LabelTable(label_name="x", class_names=("no x", "x"), labels=hashes, train_when=when)  # type: ignore[arg-type]
        put_labels(self.store, table)

    def curate(self, name: str, execution: str | None = None) -> dict[str, Any]:
        arn = ARN + (execution or name)
        self.executions.statuses.setdefault(arn, "Executing")
        curate(self.root / name, arn, self.s3, self.executions)
        output = self.root / name / "processing" / "output" / "curation" / "curation.json"
        document: dict[str, Any] = json.loads(output.read_text())
        return document

    def end(self, execution: str, status: str) -> None:
        self.executions.statuses[ARN + execution] = status

    def cohort(self, patients: int, when: TrainWhen | None = None) -> list[str]:
        labels = {}
        for n in range(patients):
            labels[self.fetch(f"p{n}", f"patient {n}", n)[0]] = n % 2
        self.label(labels, when or WhenComplete())
        return [f"p{n}" for n in range(patients)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="artifacts")
        yield Bench(tmp_path, s3)


def test_one_after_the_other_only_the_last_of_a_complete_set_trains(bench: Bench) -> None:
    results = [bench.curate(name) for name in bench.cohort(10)]
    assert [r["training_needed"] for r in results] == [0] * 9 + [1]
    assert results[3]["reason"] == "4 of 10 labelled instances had been fetched by then"
    assert (results[-1]["labelled_image_sets"], results[-1]["new_labelled_image_sets"]) == (10, 10)
    assert results[-1]["patients"] == 10


def test_all_at_once_exactly_one_trains(bench: Bench) -> None:
    names = bench.cohort(10)
    for name in names:
        bench.curate(name, execution=f"early-{name}")
    bench.end("early-p9", "Failed")  # its claim is void: now all may take it over
    barrier = Barrier(len(names))

    def at_once(name: str) -> dict[str, Any]:
        barrier.wait()
        return bench.curate(name)

    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(at_once, names))
    winners = [r for r in results if r["training_needed"] == 1]
    assert len(winners) == 1
    assert {r["dataset_sha256"] for r in results} == {winners[0]["dataset_sha256"]}
    assert all("another execution is training on it" in r["reason"] for r in results if r["training_needed"] == 0)


def test_the_claim_of_a_failed_or_stopped_or_unknown_execution_is_void(bench: Bench) -> None:
    names = bench.cohort(8)
    for name in names:
        first = bench.curate(name)
    assert first["training_needed"] == 1
    for ended, next_execution in (("p7", "a"), ("a", "b")):
        bench.end(ended, "Failed" if ended == "p7" else "Stopped")
        again = bench.curate("p0", execution=next_execution)
        assert (again["training_needed"], again["dataset_sha256"]) == (1, first["dataset_sha256"])
    del bench.executions.statuses[ARN + "b"]
    assert bench.curate("p0", execution="c")["training_needed"] == 1


def test_a_dataset_is_trained_on_once_only_and_a_rejected_one_not_again(bench: Bench) -> None:
    names = bench.cohort(8)
    for name in names:
        bench.curate(name)
    bench.end("p7", "Succeeded")
    later = bench.curate("p0", execution="later")
    assert (later["training_needed"], later["new_labelled_image_sets"]) == (0, 0)
    assert "it was trained on" in later["reason"]
    bench.end("p7", "Failed")
    bench.store.put("executions/p7/evaluation/evaluation.json", b'{"gate": {"passed": 0}}')
    assert "the quality gate rejected" in bench.curate("p0", execution="later still")["reason"]


def test_a_step_that_is_run_again_in_the_same_execution_keeps_its_claim(bench: Bench) -> None:
    for name in bench.cohort(8):
        first = bench.curate(name)
    again = bench.curate("p7")
    assert (again["training_needed"], again["dataset_sha256"]) == (1, first["dataset_sha256"])


def test_train_when_counts_new_image_sets_since_the_dataset_before(bench: Bench) -> None:
    names = bench.cohort(14, WhenEnough(minimum_new_image_sets=6))
    results = {}
    for name in names:
        results[name] = bench.curate(name)
        if results[name]["training_needed"]:
            bench.end(name, "Succeeded")
    assert [n for n, r in results.items() if r["training_needed"]] == ["p5", "p11"]
    assert results["p2"]["reason"] == "3 of 6 new labelled image sets had come by then"
    assert results["p8"]["reason"] == "3 of 6 new labelled image sets had come by then"


def test_a_later_dataset_keeps_the_test_patients(bench: Bench) -> None:
    names = bench.cohort(20, WhenEnough(minimum_new_image_sets=10))
    manifests = []
    for name in names:
        if bench.curate(name)["training_needed"]:
            bench.end(name, "Succeeded")
            folder = bench.root / name / "processing" / "output" / "dataset"
            manifests.append(json.loads((folder / "manifest.json").read_text()))
    before, after = ({i["patient_pseudonym"]: i["split"] for i in m["items"]} for m in manifests)
    assert len(before) == 10
    assert len(after) == 20
    assert before.items() <= after.items()


def test_labels_that_disagree_within_an_image_set_leave_it_out_and_say_so(bench: Bench) -> None:
    uids = bench.fetch("two-faced", "patient x", 99, slices=2)
    unlabelled = bench.fetch("unlabelled", "patient y", 98)
    bench.label({uids[0]: 0, uids[1]: 1}, WhenEnough(minimum_new_image_sets=1))
    result = bench.curate("two-faced")
    assert list(result["left_out"].values()) == ["its instances have different labels"]
    assert result["labelled_image_sets"] == 0
    assert unlabelled
    assert bench.curate("unlabelled")["labelled_image_sets"] == 0


def test_too_few_patients_is_a_reason_not_a_failure(bench: Bench) -> None:
    results = [bench.curate(name) for name in bench.cohort(4)]
    assert results[-1]["training_needed"] == 0
    assert results[-1]["reason"] == "not trained: 4 labelled patients, at least 6 are needed"


def test_without_labels_nothing_trains_and_labels_may_come_later(bench: Bench) -> None:
    bench.fetch("first", "patient", 77)
    assert "no labels are in force" in bench.curate("first")["reason"]
    names = bench.cohort(8)
    bench.store.s3.delete_object(Bucket="artifacts", Key=keys.CURRENT_LABELS)
    for name in names:
        assert bench.curate(name)["training_needed"] == 0
    pseudonyms_of = {f"1.2.{n}.0": n % 2 for n in range(8)}
    bench.label(pseudonyms_of, WhenComplete())
    assert bench.curate("first", execution="again")["training_needed"] == 1


def test_the_channels_name_every_file_of_the_dataset(bench: Bench) -> None:
    for name in bench.cohort(8):
        result = bench.curate(name)
    folder = bench.root / "p7" / "processing" / "output" / "dataset"
    prefix, *files = json.loads((folder / "images.manifest").read_text())
    assert prefix == {"prefix": "s3://artifacts/image-sets/"}
    assert len(files) == 16
    manifest = (folder / "manifest.json").read_bytes()
    assert bench.store.get(f"datasets/{result['dataset_sha256']}/manifest.json").body == manifest
    assert list((bench.root / "p0" / "processing" / "output" / "dataset").iterdir()) == []


def test_curation_is_light() -> None:
    """Every image set starts one: it must not load what only training needs."""
    heavy = "('numpy', 'torch', 'monai', 'pydicom')"
    program = f"import sys, pipeline.curation.__main__; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
