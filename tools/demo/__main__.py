"""`make demo`: the main job on one machine, from a DICOM association to a model in a researcher's hands.

Exit code 0 only if every stage happened and the counts agree. DATA and LABELS in the environment: your own images.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ahiflow import aws, environment
from ahiflow.errors import AhiflowError, WorkFailedError
from tools.demo import shell, summary
from tools.demo.data import DemoData, own_data, phantom_data
from tools.demo.evidence import Cloud
from tools.demo.predict import predict_on_test_study
from tools.demo.report.page import Story, write_report
from tools.demo.report.timeline import Milestones
from tools.demo.stages import Stages
from tools.demo.watch import wait_for_chain, wait_for_endpoint

BUILD = shell.ROOT / "build" / "demo"
STATE = BUILD / "state"
APPROVER = "Demo Approver"
CHAIN_DEADLINE_SECONDS = 900.0
ENDPOINT_DEADLINE_SECONDS = 120.0
INTERRUPTED = 130  # 128 + SIGINT, as shells say it

Json = dict[str, Any]


def main() -> int:
    """Run every stage, stop the local cloud whatever happened, and say how it went."""
    console = Console(soft_wrap=True)
    stages = Stages(console)
    try:
        problems = _demonstrate(stages, os.environ)
    except AhiflowError as error:
        console.print(f"[bold red]demo failed:[/] {error}")
        return 1
    except KeyboardInterrupt:
        console.print("[bold red]interrupted:[/] stopping the local cloud")
        return INTERRUPTED
    finally:
        _stop(console)
    for problem in problems:
        console.print(f"[bold red]not as it should be:[/] {problem}")
    return 1 if problems else 0


def _demonstrate(stages: Stages, environ: Mapping[str, str]) -> list[str]:
    with stages.stage("data", "preparing the studies"):
        own = _own_data(environ)  # before anything of the last demo is removed
        _stop(stages.console)
        shutil.rmtree(BUILD, ignore_errors=True)
        BUILD.mkdir(parents=True)
        data = own or phantom_data(BUILD / "cohort")
        stages.say(data.description)
    with stages.stage("start", "starting the local cloud and the receiver"):
        shell.python_module("localcloud", "up", "--state", str(STATE))
        cloud, env = _connect()
        at = cloud.environment
        stages.say(f"AWS at {at.endpoint_url}, DICOM at {at.called_ae_title}@{at.dicom_host}:{at.dicom_port}")
    with stages.stage("labels", "putting the label table in force"):
        shell.ahiflow(
            "labels", "put", str(data.labels), "--images", str(data.images), "--train-when", "complete", environ=env
        )
        stages.say(f"{data.labelled_files} labelled files; training starts when all of them have been fetched")
    with stages.stage("send", "sending over DICOM associations"):
        sent = shell.ahiflow_json("send", *map(str, data.files), environ=env, accept=(0, 1))
        for refused in sent["refused"]:
            stages.say(f"refused: {Path(refused['file']).name}: {refused['reason']}")
        stages.say(f"{sent['acknowledged']} of {sent['sent']} acknowledged on {sent['associations']} associations")
    with stages.stage("chain", "import, fetch, curate, train, evaluate, register (driven by events alone)"):
        wait_for_chain(
            cloud,
            stages.console,
            acknowledged=sent["acknowledged"],
            batches=sent["associations"],
            deadline_seconds=CHAIN_DEADLINE_SECONDS,
        )
        _explain_executions(cloud, stages)
    with stages.stage("approve", f"approving the model as {APPROVER}"):
        arn = _newest_package(cloud)
        shell.ahiflow("models", "approve", arn, "--as", APPROVER, "--reason", "demo: metrics reviewed", environ=env)
        approved = time.time()
    name = env["AHIFLOW_ENDPOINT_NAME"]
    with stages.stage("deploy", "deploying what was approved"):
        wait_for_endpoint(cloud, name, deadline_seconds=ENDPOINT_DEADLINE_SECONDS)
        in_service = time.time()
    evidence = summary.gather(cloud)
    with stages.stage("predict", "asking the endpoint about a patient it has never seen"):
        prediction = predict_on_test_study(cloud, evidence, name)
        stages.say(_prediction(prediction))
    with stages.stage("retrieve", "retrieving the model"):
        model_folder = BUILD / "model"
        shell.ahiflow("models", "get", arn, "--out", str(model_folder), environ=env)
        stages.say(f"{sum(1 for p in model_folder.rglob('*') if p.is_file())} files in {_relative(model_folder)}")
    deployed = {"endpoint": {"name": name, "prediction": prediction}, "retrieved_model": _relative(model_folder)}
    figures = summary.summarise(
        {"kind": data.kind, "description": data.description},
        sent,
        evidence,
        deployed,
        {"total": stages.total, "by_stage": dict(stages.seconds)},
    )
    problems = summary.disagreements(figures)
    signature = shell.ahiflow_json("models", "verify", arn, environ=env)
    story = Story(
        data.description, figures, evidence, Milestones(approved, in_service), model_folder, signature, problems
    )
    with stages.stage("report", "drawing the report"):
        write_report(BUILD / "report.html", cloud, story)
    figures["seconds"] = {"total": stages.total, "by_stage": dict(stages.seconds)}
    (BUILD / "summary.json").write_text(json.dumps(figures, indent=2) + "\n")
    _table(stages.console, figures)
    return problems


def _own_data(environ: Mapping[str, str]) -> DemoData | None:
    folder, labels = environ.get("DATA"), environ.get("LABELS")
    if not folder and not labels:
        return None
    if not folder or not labels:
        raise WorkFailedError("DATA and LABELS go together: make demo DATA=folder LABELS=labels.csv")
    return own_data(Path(folder), Path(labels))


def _connect() -> tuple[Cloud, dict[str, str]]:
    found = environment.load(STATE)
    os.environ.update(found.shell)
    group = found.shell["AHIFLOW_MODEL_PACKAGE_GROUP_NAME"]
    return Cloud(found, functools.cache(aws.client), group), dict(found.shell)


def _explain_executions(cloud: Cloud, stages: Stages) -> None:
    for execution in cloud.executions():
        if execution.status != "Succeeded":
            stages.say(f"execution {execution.execution_id} {execution.status}: {execution.failure_reason}")


def _newest_package(cloud: Cloud) -> str:
    packages = cloud.model_packages()
    if not packages:
        raise WorkFailedError("no model was registered: no execution trained, or the quality gate refused its model")
    return str(packages[0]["ModelPackageArn"])


def _stop(console: Console) -> None:
    if not (STATE / "environment.json").exists():
        return
    try:
        shell.python_module("localcloud", "down", "--state", str(STATE))
    except WorkFailedError as error:
        console.print(f"[red]the local cloud did not stop cleanly:[/] {error}")


def _relative(path: Path) -> str:
    return str(path.relative_to(shell.ROOT))


def _table(console: Console, figures: Json) -> None:
    instances, executions, metrics = figures["instances"], figures["executions"], figures["model"]["metrics"]
    table = Table(show_header=False, box=None, padding=(0, 2))
    rows = {
        "instances": ", ".join(f"{count} {what}" for what, count in instances.items()),
        "image sets": f"{figures['image_sets']}",
        "executions": f"{executions['succeeded']} of {executions['started']} succeeded",
        "frames": f"{figures['frames']['verified']} of {figures['frames']['fetched']} verified by CRC32",
        "dataset": f"{figures['dataset']['patients']} patients, sha256 {str(figures['dataset']['sha256'])[:12]}",
        "ROC-AUC": _metric(metrics.get("roc_auc")),
        "model": f"{_short(figures['model']['model_package_arn'])}, {figures['model']['approval_status']}",
        "endpoint": f"{figures['endpoint']['name']}: {_prediction(figures['endpoint']['prediction'])}",
        "retrieved": figures["retrieved_model"],
        "time": f"{figures['seconds']['total']:.0f} s",
        "report": _relative(BUILD / "report.html"),
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", value)
    console.print(table)
    console.print(
        f"[dim]{datetime.now().astimezone():%Y-%m-%d %H:%M} summary in {_relative(BUILD / 'summary.json')}[/]"
    )


def _short(arn: str | None) -> str:
    return str(arn).rpartition(":")[2]


def _prediction(prediction: Json) -> str:
    truth = f" (true label: {prediction['true_label']})"
    return f"{prediction['label']}, probability {prediction['probability']:.2f}{truth}"


def _metric(metric: Json | None) -> str:
    if metric is None:
        return "none"
    low, high = metric.get("ci95") or (float("nan"), float("nan"))
    return f"{metric['value']:.3f} on held-out patients (95 % {low:.2f} to {high:.2f})"


if __name__ == "__main__":
    sys.exit(main())
