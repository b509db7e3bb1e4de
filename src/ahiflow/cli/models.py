"""`ahiflow models`: the registry, for researchers and approvers."""

from __future__ import annotations

import json
import os
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from ahiflow import aws
from ahiflow.approvals import Approvals, Decision, SignedDecision, record_decision
from ahiflow.cli import model_page
from ahiflow.errors import ConfigurationError, SignatureError
from ahiflow.model_archive import retrieve
from ahiflow.object_store import ObjectStore
from ahiflow.registry import LATEST, ModelPackage, Registry
from ahiflow.settings import CommandSettings

app = typer.Typer(add_completion=False, no_args_is_help=True, help="The model registry: find, approve, retrieve.")

_PIPE_WIDTH = 1000
_METRICS = "binary_classification_metrics"
_PREDICTIONS = "predictions"  # one a test image set: in the report itself
APPROVER_VARIABLE = "AHIFLOW_APPROVER"

Reference = Annotated[str, typer.Argument(metavar="[ARN | VERSION | latest]", help="Which model package.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Approver = Annotated[str, typer.Option("--as", envvar=APPROVER_VARIABLE, metavar="NAME", help="Who decides.")]
Meaning = Annotated[str, typer.Option("--reason", metavar="TEXT", help="What the signature means.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List all versions, newest first."""
    versions = _registry(_settings()).versions()
    if as_json:
        typer.echo(json.dumps(versions, indent=2, default=str))
        return
    if not versions:
        typer.echo("no model yet: one is registered when an execution has trained it and it passed the quality gate")
        return
    table = Table(box=None)
    for name in ("version", "created (UTC)", "status", "approval", "ARN"):
        table.add_column(name, overflow="fold")
    for one in versions:
        version, created = str(one["ModelPackageVersion"]), f"{one['CreationTime'].astimezone(UTC):%Y-%m-%d %H:%M}"
        approval = one.get("ModelApprovalStatus", "")
        table.add_row(version, created, one["ModelPackageStatus"], approval, one["ModelPackageArn"])
    _console().print(table)


@app.command()
def show(reference: Reference = LATEST, as_json: AsJson = False) -> None:
    """Show a model package, its evaluation and its last signed decision."""
    settings = _settings()
    package = _registry(settings).find(reference)
    document = _describe(package, _approvals(settings), _evaluation(package))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        model_page.show(document, _console())


@app.command()
def get(
    reference: Reference = LATEST,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="An empty or new folder.")] = Path("model"),
    unapproved: Annotated[bool, typer.Option("--unapproved", help="Take it though nobody approved it.")] = False,
) -> None:
    """Retrieve a model: verify its approval and its digest, unpack it."""
    settings = _settings()
    package, approvals = _registry(settings).find(reference), _approvals(settings)
    if unapproved:
        sha256, said = approvals.digest(package.model_data), "NOT approved"
    else:
        document = approvals.verify_approval(package).document
        sha256, said = document.artefact_sha256, f"approved by {document.approver} on {document.signed_at:%Y-%m-%d}"
    files = retrieve(aws.client("s3"), package.model_data, sha256, out)
    typer.echo(f"version {package.version}, {said}, SHA-256 {sha256}: {len(files)} files in {out}")


@app.command()
def approve(approver: Approver = "", meaning: Meaning = "", reference: Reference = LATEST) -> None:
    """Sign an approval and have the model deployed."""
    _decide("approve", reference, approver, meaning)


@app.command()
def reject(approver: Approver = "", meaning: Meaning = "", reference: Reference = LATEST) -> None:
    """Sign a rejection."""
    _decide("reject", reference, approver, meaning)


@app.command()
def verify(reference: Reference = LATEST, as_json: AsJson = False) -> None:
    """Verify the signed decisions on a model package against its exact artefact. Exit code 1 if anything disagrees."""
    settings = _settings()
    signed = _approvals(settings).verify_decision(_registry(settings).find(reference))
    document = signed.document
    if as_json:
        said = {"verified": True, "sha256": signed.sha256, **document.model_dump(mode="json")}
        typer.echo(json.dumps(said, indent=2))
        return
    typer.echo(
        f"verified: {document.decision} by {document.approver} at {document.signed_at:%Y-%m-%d %H:%M} UTC "
        f"({document.meaning}), decision {document.number}, artefact SHA-256 {document.artefact_sha256}"
    )


def _decide(decision: Decision, reference: str, approver: str, meaning: str) -> None:
    if not approver.strip():
        raise ConfigurationError(f"who decides? give --as NAME or set {APPROVER_VARIABLE}")
    if not meaning.strip():
        raise ConfigurationError("what does the signature mean? give --reason TEXT")
    settings = _settings()
    package = _registry(settings).find(reference)
    signed = _approvals(settings).sign_decision(package, decision, approver, meaning)
    record_decision(aws.impatient_client("sagemaker"), signed)
    typer.echo(
        f"signed: {decision} version {package.version} as {approver}, artefact {signed.document.artefact_sha256}"
    )


def _describe(package: ModelPackage, approvals: Approvals, report: dict[str, Any]) -> dict[str, Any]:
    decision: dict[str, Any] = {"signed_decision": None}
    try:
        signed: SignedDecision = approvals.verify_decision(package)
        decision = {"signed_decision": {"verified": True, **signed.document.model_dump(mode="json")}}
    except SignatureError as error:
        decision = {"signed_decision": {"verified": False, "reason": str(error)}}
    return {
        "model_package_arn": package.arn,
        "version": package.version,
        "created_at": package.created_at.isoformat(),
        "status": package.status,
        "approval_status": package.approval_status,
        "approval_description": package.approval_description,
        "artefact": str(package.model_data),
        "evaluation_report": str(package.evaluation_report) if package.evaluation_report else None,
        "metrics": report.get(_METRICS, {}),
        "evaluation": {name: value for name, value in report.items() if name not in (_METRICS, _PREDICTIONS)},
        "metadata": dict(package.metadata),
        **decision,
    }


def _evaluation(package: ModelPackage) -> dict[str, Any]:
    """The evaluation report, which has the metrics in the SageMaker model-quality form; empty when there is none."""
    report = package.evaluation_report
    if report is None:
        return {}
    document: dict[str, Any] = json.loads(ObjectStore(aws.impatient_client("s3"), report.bucket).get(report.key).body)
    return document


def _settings() -> CommandSettings:
    return CommandSettings.from_environ(os.environ)


def _registry(settings: CommandSettings) -> Registry:
    return Registry(aws.impatient_client("sagemaker"), settings.model_package_group_name)


def _approvals(settings: CommandSettings) -> Approvals:
    s3, kms = aws.impatient_client("s3"), aws.impatient_client("kms")
    return Approvals(s3, kms, settings.artifacts_bucket_name, settings.approval_key_id)


def _console() -> Console:
    """Tables fit the terminal; in a pipe nothing is cut off."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)
