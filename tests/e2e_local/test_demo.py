"""`make demo` does the whole job, on phantoms everywhere and on real labelled CT where it is at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO_SECONDS = 1500


def demo(**environ: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/tmp"), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEMO_SECONDS,
    )
    path = ROOT / "build" / "demo" / "summary.json"
    return done, json.loads(path.read_text()) if path.exists() else {}


def assert_the_whole_job(done: subprocess.CompletedProcess[str], summary: dict[str, Any]) -> None:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    instances = summary["instances"]
    assert instances["sent"] > 0
    assert instances["sent"] == instances["acknowledged"] == instances["stored"] == instances["imported"]
    assert instances["refused"] == 0
    assert summary["image_sets"] == summary["executions"]["started"] == summary["executions"]["succeeded"]
    assert summary["frames"]["fetched"] == summary["frames"]["verified"] > 0
    assert len(summary["dataset"]["sha256"]) == 64
    splits = [summary["dataset"][split] for split in ("train", "validation", "test")]
    assert min(splits) > 0
    assert summary["model"]["approval_status"] == "Approved"
    auc = summary["model"]["metrics"]["roc_auc"]
    assert 0.7 <= auc["value"] <= 1.0
    assert auc["ci95"][0] <= auc["value"] <= auc["ci95"][1]
    assert 0.0 <= summary["endpoint"]["prediction"]["probability"] <= 1.0
    model = ROOT / summary["retrieved_model"]
    assert [path for path in model.rglob("*") if path.name.startswith("model.")]
    assert set(summary["seconds"]) == {"total", "by_stage"}
    page = (ROOT / "build" / "demo" / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ), "the page must need no server"
    assert page.count("<figure>") >= sum(splits)
    assert page.count("<svg") >= 4


@pytest.mark.timeout(DEMO_SECONDS)
def test_phantoms_and_pydicom_files() -> None:
    done, summary = demo()
    assert_the_whole_job(done, summary)
    assert summary["data"]["kind"] == "phantoms+pydicom"


@pytest.mark.timeout(DEMO_SECONDS)
def test_real_labelled_ct(shared_data: Path) -> None:
    folder = shared_data / "labelled_ct_contrast"
    done, summary = demo(DATA=str(folder), LABELS=str(folder / "labels.csv"))
    assert_the_whole_job(done, summary)
    assert summary["instances"]["sent"] == 20
    assert summary["dataset"]["patients"] == 11


@pytest.mark.parametrize(
    ("header", "named"), [("file,contrast,patient", "label_"), ("name,label_contrast,patient", "file")]
)
def test_a_label_table_with_a_wrong_column_ends_in_one_line(tmp_path: Path, header: str, named: str) -> None:
    from pydicom.data import get_testdata_file

    source = Path(str(get_testdata_file("CT_small.dcm")))
    (tmp_path / "CT_small.dcm").write_bytes(source.read_bytes())
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{header}\nCT_small.dcm,1,a\n")
    done, _ = demo(DATA=str(tmp_path), LABELS=str(labels))
    assert done.returncode != 0
    complaints = [line for line in done.stdout.splitlines() if "demo failed" in line]
    assert len(complaints) == 1
    assert named in complaints[0]
    assert "Traceback" not in done.stdout + done.stderr


def test_data_without_labels_is_refused() -> None:
    done, _ = demo(DATA="/nowhere")
    assert done.returncode != 0
    assert "DATA and LABELS go together" in done.stdout
