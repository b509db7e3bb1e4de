"""Approval is a gate: whatever is changed after the signature, the approval does not count any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto import mock_aws
from registry_support import BUCKET, World, make_world

from ahiflow import keys
from ahiflow.errors import ConfigurationError, NotFoundError, SignatureError


@pytest.fixture
def world() -> Iterator[World]:
    with mock_aws():
        yield make_world()


def test_a_signed_approval_verifies_and_says_who_and_what(world: World) -> None:
    package = world.register()
    signed = world.decide(package)
    verified = world.approvals.verify_approval(world.again(package)).document
    assert verified == signed.document
    assert (verified.approver, verified.meaning, verified.decision) == ("Dr. Example", "metrics reviewed", "approve")
    assert verified.artefact_sha256 == world.approvals.digest(package.model_data)
    after = world.again(package)
    assert after.approval_status == "Approved"
    assert after.metadata["approval_document"] == signed.key


def test_without_a_name_or_a_meaning_nothing_is_signed(world: World) -> None:
    package = world.register()
    for approver, meaning in (("", "reviewed"), ("Dr. Example", " ")):
        with pytest.raises(ConfigurationError):
            world.approvals.sign_decision(package, "approve", approver, meaning)
    assert world.s3.list_objects_v2(Bucket=BUCKET, Prefix=keys.APPROVALS)["KeyCount"] == 0


def test_an_approval_in_the_registry_alone_is_none(world: World) -> None:
    """Somebody with the console's approve button."""
    package = world.register()
    world.sagemaker.update_model_package(ModelPackageArn=package.arn, ModelApprovalStatus="Approved")
    with pytest.raises(SignatureError, match="nobody has signed"):
        world.approvals.verify_approval(world.again(package))


def test_a_changed_artefact_is_refused(world: World) -> None:
    package = world.register()
    world.decide(package)
    world.s3.put_object(Bucket=BUCKET, Key=package.model_data.key, Body=b"other weights")
    with pytest.raises(SignatureError, match="artefact was changed"):
        world.approvals.verify_approval(world.again(package))


def test_a_changed_report_is_refused(world: World) -> None:
    package = world.register()
    world.decide(package)
    assert package.evaluation_report
    world.overwrite(package.evaluation_report.key, (b"0.9", b"0.99"))
    with pytest.raises(SignatureError, match="report was changed"):
        world.approvals.verify_approval(world.again(package))


@pytest.mark.parametrize(
    "change",
    [(b"Dr. Example", b"Dr. Another"), (b"metrics reviewed", b"metrics ignored"), (b'"reject"', b'"approve"')],
    ids=["approver", "meaning", "decision"],
)
def test_a_changed_document_is_refused(world: World, change: tuple[bytes, bytes]) -> None:
    package = world.register()
    signed = world.decide(package, "reject")
    world.overwrite(signed.key, change)
    with pytest.raises(SignatureError, match=r"signature .* is not valid"):
        world.approvals.verify_decision(package)  # as it was before the decision: its metadata does not help


def test_a_signature_of_another_key_is_refused(world: World) -> None:
    package = world.register()
    other = world.kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["KeyId"]
    theirs = World(world.s3, world.kms, world.sagemaker, other)
    theirs.decide(package)
    with pytest.raises(SignatureError, match="not valid"):
        world.approvals.verify_approval(world.again(package))


def test_the_list_shows_what_was_removed_or_changed_in_it(world: World) -> None:
    package = world.register()
    first, second = world.decide(package), world.decide(package, "reject")
    third = world.decide(package)
    assert third.document.previous_sha256 == second.sha256
    assert world.approvals.verify_approval(world.again(package)).document.number == 3
    body = world.s3.get_object(Bucket=BUCKET, Key=second.key)["Body"].read()
    world.s3.delete_object(Bucket=BUCKET, Key=second.key)
    with pytest.raises(SignatureError, match="is missing"):
        world.approvals.verify_approval(world.again(package))
    world.s3.put_object(Bucket=BUCKET, Key=second.key, Body=body)
    world.overwrite(first.key, (b"Dr. Example", b"Dr. Another"))
    with pytest.raises(SignatureError, match="was changed"):
        world.approvals.verify_approval(world.again(package))


def test_a_rejection_that_was_cut_off_is_noticed(world: World) -> None:
    """Remove the last decision, and the approval before it would count again."""
    package = world.register()
    world.decide(package)
    rejection = world.decide(package, "reject")
    world.s3.delete_object(Bucket=BUCKET, Key=rejection.key)
    world.sagemaker.update_model_package(
        ModelPackageArn=package.arn,
        ModelApprovalStatus="Approved",
        CustomerMetadataProperties=dict(world.again(package).metadata),  # SageMaker keeps them; moto forgets them
    )
    with pytest.raises(SignatureError, match="names another decision"):
        world.approvals.verify_approval(world.again(package))


def test_an_approval_of_one_package_is_none_of_another(world: World) -> None:
    mine, other = world.register(), world.register(b"other")
    signed = world.decide(mine)
    body = world.s3.get_object(Bucket=BUCKET, Key=signed.key)["Body"].read()
    world.s3.put_object(Bucket=BUCKET, Key=keys.approval_key(other.arn, 1), Body=body)
    with pytest.raises(SignatureError, match="another model package"):
        world.approvals.verify_decision(world.again(other))


def test_packages_are_found_by_number_latest_and_arn(world: World) -> None:
    first, second = world.register(), world.register(b"other")
    assert world.registry.find("latest").arn == second.arn
    assert world.registry.find("1").arn == world.registry.find(first.arn).arn == first.arn
    with pytest.raises(NotFoundError, match="'7'"):
        world.registry.find("7")
    with pytest.raises(ConfigurationError, match="'newest'"):
        world.registry.find("newest")
