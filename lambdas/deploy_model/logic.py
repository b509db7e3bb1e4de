"""Whether an approval counts, and what becomes of the endpoint and the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ahiflow import events
from ahiflow.approvals import Approvals, SignedDecision
from ahiflow.errors import InvalidRequestError, NotFoundError, NotYetConsistentError, PermanentError, SignatureError
from ahiflow.ledger.schema import DeploymentItem
from ahiflow.ledger.store import Ledger
from ahiflow.ledger.transitions import DeploymentStatus
from ahiflow.registry import ModelPackage, Registry
from ahiflow.spine.service_calls import cut
from lambdas.deploy_model.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Deployer:
    """What a deployment needs."""

    registry: Registry
    approvals: Approvals
    endpoint: Endpoint
    ledger: Ledger


def deploy_model(event: Mapping[str, Any], deployer: Deployer) -> str:
    """Deploy the model package that was approved, if its signed approval verifies; returns the package's ARN.

    A package that was rejected while it has the endpoint loses it. No signature is asked for that: the safe way.

    The event is a hint only: what the registry, the signature and the artefact say now decides. Raises TransientError
    when the event should come again, also while the endpoint is starting, so that the ledger learns how it went; and
    PermanentError, which is in the ledger then, for what must not be or could not be deployed.
    """
    about = events.parse(events.Event[events.ModelPackageStateChange], event).detail
    if about.model_package_group_name != deployer.registry.group:
        raise InvalidRequestError("a model package of another group")
    package = deployer.registry.describe(about.model_package_arn)
    if package.approval_status == "Rejected":
        _withdraw(deployer, package)
    if package.approval_status != "Approved":
        return package.arn  # decided otherwise since; that decision has an event of its own
    try:
        signed = deployer.approvals.verify_approval(package)
    except PermanentError as error:
        _note(deployer, package, _attempt(deployer, package), "refused", str(error))
        raise
    attempt = signed.document.number
    if _is_superseded(deployer, package, signed):
        _note(deployer, package, attempt, "replaced", "a later approval took the endpoint")
        return package.arn
    known = deployer.ledger.deployment(package.arn)
    was_started = known is not None and (known.attempt, known.status) == (attempt, "deploying")
    try:
        in_service = deployer.endpoint.serve(package, was_started=was_started)
    except PermanentError as error:
        _note(deployer, package, attempt, "failed", str(error))
        raise
    _note(deployer, package, attempt, "in-service" if in_service else "deploying", None)
    _replace_others(deployer, package)
    if not in_service:
        raise NotYetConsistentError(f"endpoint {deployer.endpoint.name} is starting")
    return package.arn


def _withdraw(deployer: Deployer, package: ModelPackage) -> None:
    known = deployer.ledger.deployment(package.arn)
    if known is None or known.status not in ("deploying", "in-service"):
        return
    deployer.endpoint.withdraw(package)
    _note(deployer, package, known.attempt, "withdrawn", "the model package was rejected")


def _attempt(deployer: Deployer, package: ModelPackage) -> int:
    known = deployer.ledger.deployment(package.arn)
    return known.attempt if known else 1


def _is_superseded(deployer: Deployer, package: ModelPackage, signed: SignedDecision) -> bool:
    """Whether an approval that was signed later has the endpoint: this event is then late, or a duplicate."""
    for other in _others(deployer, package):
        try:
            theirs = deployer.approvals.verify_approval(deployer.registry.describe(other.model_package_arn))
        except (SignatureError, NotFoundError):
            continue  # rejected or gone since: it has no claim
        if theirs.document.signed_at > signed.document.signed_at:
            return True
    return False


def _replace_others(deployer: Deployer, package: ModelPackage) -> None:
    for other in _others(deployer, package):
        deployer.ledger.note_deployment(
            other.model_copy(update={"status": "replaced", "reason": f"replaced by version {package.version}"})
        )


def _others(deployer: Deployer, package: ModelPackage) -> list[DeploymentItem]:
    """Other packages that have, or are taking, the endpoint."""
    return [
        item
        for item in deployer.ledger.items(DeploymentItem)
        if item.endpoint_name == deployer.endpoint.name
        and item.model_package_arn != package.arn
        and item.status in ("deploying", "in-service")
    ]


def _note(
    deployer: Deployer, package: ModelPackage, attempt: int, status: DeploymentStatus, reason: str | None
) -> None:
    deployer.ledger.note_deployment(
        DeploymentItem(
            model_package_arn=package.arn,
            status=status,
            attempt=attempt,
            endpoint_name=deployer.endpoint.name,
            reason=cut(reason) if reason else None,
        )
    )
