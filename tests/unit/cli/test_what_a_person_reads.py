"""Pages and error lines of the `ahiflow` command: a person can read them, copy from them and act on them."""

from __future__ import annotations

import io
import socket
from typing import Any

import pytest
from rich.console import Console

from ahiflow.cli import model_page
from ahiflow.cli.main import main
from ahiflow.errors import ConfigurationError
from ahiflow.settings import CommandSettings

ARN = "arn:aws:sagemaker:us-west-2:111122223333:model-package/ahi-models/1"
SHA256 = "5d33d00aa4555ca9f6214eb947ae023e4ef0a610c87f0482ee3cff354b0123456"[:64]


def document(**changes: Any) -> dict[str, Any]:
    return {
        "model_package_arn": ARN,
        "version": 1,
        "created_at": "2026-11-21T03:17:00+00:00",
        "status": "Completed",
        "approval_status": "PendingManualApproval",
        "approval_description": "",
        "artefact": "s3://artifacts/model.tar.gz",
        "evaluation_report": "s3://artifacts/evaluation.json",
        "metrics": {
            "roc_auc": {"value": 0.8125, "ci95": [0.3333, 1.0]},
            "recall": {"value": 0.25},
            "sensitivity": {"value": 0.25},
            "confusion_matrix": {"0": {"0": 3, "1": 1}, "1": {"0": 2, "1": 2}},
            "receiver_operating_characteristic_curve": {"thresholds": [1.809249222278595, 0.5]},
        },
        "evaluation": {
            "gate": {"passed": 1, "reason": "ROC-AUC 0.812 reaches the minimum of 0.700"},
            "dataset_sha256": SHA256,
            "class_names": ["no lesion", "lesion"],
            "threshold": 0.5,
            "test": {"patients": 8, "image_sets": 9},
        },
        "metadata": {},
        "signed_decision": {"verified": False, "reason": "nobody has signed a decision"},
        **changes,
    }


def printed(shown: dict[str, Any]) -> str:
    output = io.StringIO()
    model_page.show(shown, Console(file=output, width=80, highlight=False))
    return output.getvalue()


def test_an_approver_reads_figures_with_their_interval_and_no_curve_points() -> None:
    page = printed(document())
    assert "0.812 (95 % 0.333 to 1.000)" in page
    assert "evaluation on 8 patients that training never saw" in page
    assert "3 as 'no lesion', 1 as 'lesion'" in page
    assert "ROC-AUC 0.812 reaches the minimum of 0.700" in page
    assert "1.809" not in page
    assert "recall" not in page  # the same figure as sensitivity


def test_hashes_and_arns_stay_whole_on_a_narrow_terminal() -> None:
    assert SHA256 in printed(document())
    assert ARN in printed(document())


def test_who_decided_and_whether_that_still_holds() -> None:
    decision = {
        "verified": True,
        "decision": "approve",
        "number": 2,
        "approver": "Dr. A. Name",
        "signed_at": "2026-11-21T03:18:00Z",
        "meaning": "reviewed",
        "artefact_sha256": SHA256,
    }
    page = printed(document(signed_decision=decision, approval_status="Approved"))
    assert "Dr. A. Name" in page
    assert "approve (number 2)" in page
    assert "2026-11-21 03:18:00 UTC" in page
    assert "no: nobody has signed a decision" in printed(document())


def test_a_model_without_a_report_is_still_shown() -> None:
    assert "names no evaluation report" in printed(document(metrics={}, evaluation={}, evaluation_report=None))


def test_a_missing_environment_is_one_line_that_says_what_sets_it() -> None:
    with pytest.raises(ConfigurationError) as raised:
        CommandSettings.from_environ({})
    assert "ahiflow env" in str(raised.value)
    assert len(str(raised.value)) < 160


def test_a_local_cloud_that_is_down_is_said_with_what_starts_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused, and nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AHIFLOW_LEDGER_TABLE_NAME": "ledger",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AHIFLOW_VERBOSE", raising=False)
        with pytest.raises(SystemExit) as ended:
            main(["status"])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.count("\n") == 1
    assert endpoint in said
    assert "make up" in said
