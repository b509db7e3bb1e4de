"""Approvals as electronic signatures: who decided what, when and why, bound to the exact artefact by a KMS signature.

The decisions on a model package are a list in the artifacts bucket; each is written once, names the SHA-256 of the one
before, and is signed over its canonical JSON (sorted keys, no spaces, UTF-8). Changing, inserting or removing one
breaks the list; the last one is named in the model package's own metadata.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ahiflow import keys
from ahiflow.aws_errors import translated
from ahiflow.errors import ConfigurationError, InvalidRequestError, NotYetConsistentError, SignatureError
from ahiflow.object_store import ObjectStore
from ahiflow.registry import ModelPackage
from ahiflow.s3uri import S3Uri

METADATA_DOCUMENT: Final = "approval_document"
METADATA_DIGEST: Final = "approval_document_sha256"

Decision = Literal["approve", "reject"]
Algorithm = Literal["ECDSA_SHA_256", "RSASSA_PSS_SHA_256"]
# KMS API, CreateKey "KeySpec" and Sign "SigningAlgorithm".
_ALGORITHMS: Final[dict[str, Algorithm]] = {
    "ECC_NIST_P256": "ECDSA_SHA_256",
    "RSA_2048": "RSASSA_PSS_SHA_256",
    "RSA_3072": "RSASSA_PSS_SHA_256",
    "RSA_4096": "RSASSA_PSS_SHA_256",
}
_INVALID_SIGNATURE: Final = frozenset({"KMSInvalidSignatureException", "KMSInvalidSignature"})
_LONGEST_DESCRIPTION: Final = 1024  # shape ApprovalDescription
_BLOCK: Final = 1 << 20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DecisionDocument(_Frozen):
    """What is signed. ``artefact_sha256`` is of model.tar.gz, ``evaluation_sha256`` of the evaluation report."""

    schema_version: Literal[1] = 1
    number: int = Field(ge=1)
    previous_sha256: str | None
    model_package_arn: str
    artefact_uri: str
    artefact_sha256: str
    evaluation_uri: str | None
    evaluation_sha256: str | None
    decision: Decision
    approver: str = Field(min_length=1)
    meaning: str = Field(min_length=1)
    signed_at: datetime
    key_id: str
    signing_algorithm: Algorithm

    def canonical(self) -> bytes:
        """The bytes whose SHA-256 is signed."""
        return _canonical(self.model_dump(mode="json"))


class SignedDecision(_Frozen):
    """A decision and its signature (base64, as KMS made it: DER for ECDSA)."""

    document: DecisionDocument
    signature: str

    def stored(self) -> bytes:
        """The bytes in S3."""
        return _canonical(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """Hex digest of the stored bytes: what the next decision and the model package name."""
        return hashlib.sha256(self.stored()).hexdigest()

    @property
    def key(self) -> str:
        """Where it lies in the artifacts bucket."""
        return keys.approval_key(self.document.model_package_arn, self.document.number)


@dataclass(frozen=True, slots=True)
class Approvals:
    """Signs and verifies decisions. ``key_id`` is the one KMS key (id, ARN or alias) whose signatures count."""

    s3: Any
    kms: Any
    bucket: str
    key_id: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def sign_decision(self, package: ModelPackage, decision: Decision, approver: str, meaning: str) -> SignedDecision:
        """Sign a decision on a package as it is now and append it to the package's list.

        Raises ConfigurationError without an approver or a meaning, SignatureError when the list before it is broken,
        and NotYetConsistentError when somebody else decided at the same moment.
        """
        if not approver.strip() or not meaning.strip():
            raise ConfigurationError("a decision needs the approver's name and its meaning")
        earlier = self._list(package.arn)
        key_arn, algorithm = self._signing_key()
        evaluation = package.evaluation_report
        document = DecisionDocument(
            number=len(earlier) + 1,
            previous_sha256=earlier[-1].sha256 if earlier else None,
            model_package_arn=package.arn,
            artefact_uri=str(package.model_data),
            artefact_sha256=self.digest(package.model_data),
            evaluation_uri=str(evaluation) if evaluation else None,
            evaluation_sha256=self.digest(evaluation) if evaluation else None,
            decision=decision,
            approver=approver.strip(),
            meaning=meaning.strip(),
            signed_at=self.now(),
            key_id=key_arn,
            signing_algorithm=algorithm,
        )
        with translated("signing the decision"):
            answer = self.kms.sign(
                KeyId=self.key_id,
                Message=hashlib.sha256(document.canonical()).digest(),
                MessageType="DIGEST",
                SigningAlgorithm=algorithm,
            )
        signed = SignedDecision(document=document, signature=base64.b64encode(answer["Signature"]).decode())
        if not ObjectStore(self.s3, self.bucket).create(signed.key, signed.stored()):
            raise NotYetConsistentError("somebody else decided on this model package just now: look again")
        return signed

    def verify_decision(self, package: ModelPackage) -> SignedDecision:
        """The last decision on a package, proven: every signature and link of the list, and the artefact's digest.

        Raises SignatureError with the reason when anything does not agree, or when there is no decision.
        """
        decisions = self._list(package.arn)
        if not decisions:
            raise SignatureError(f"nobody has signed a decision on {package.arn}")
        for signed in decisions:
            self._verify_signature(signed)
        last = decisions[-1]
        if package.metadata.get(METADATA_DIGEST, last.sha256) != last.sha256:
            raise SignatureError("the model package names another decision than the last of its list")
        document = last.document
        if document.artefact_uri != str(package.model_data):
            raise SignatureError("the model package serves another artefact than the one that was signed")
        if self.digest(package.model_data) != document.artefact_sha256:
            raise SignatureError("the artefact was changed after it was signed")
        report = package.evaluation_report
        if document.evaluation_uri != (str(report) if report else None):
            raise SignatureError("the model package names another evaluation report than the one that was signed")
        if report and self.digest(report) != document.evaluation_sha256:
            raise SignatureError("the evaluation report was changed after it was signed")
        return last

    def verify_approval(self, package: ModelPackage) -> SignedDecision:
        """The same, when the last decision is an approval and the registry says so too. Raises SignatureError."""
        signed = self.verify_decision(package)
        if signed.document.decision != "approve":
            raise SignatureError(f"the last signed decision on {package.arn} is to {signed.document.decision}")
        if package.approval_status != "Approved":
            raise SignatureError(f"{package.arn} was signed as approved, but the registry says otherwise")
        return signed

    def digest(self, uri: S3Uri) -> str:
        """SHA-256 of an object, hex, read in blocks. Raises NotFoundError when it is gone."""
        digest = hashlib.sha256()
        with translated(str(uri)):
            body = self.s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"]
            for block in body.iter_chunks(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def _list(self, model_package_arn: str) -> list[SignedDecision]:
        """All decisions in order, their links checked. Raises SignatureError."""
        store = ObjectStore(self.s3, self.bucket)
        decisions: list[SignedDecision] = []
        for number, key in enumerate(sorted(store.keys(keys.approval_prefix(model_package_arn))), start=1):
            signed = _parse(store.get(key).body, key)
            document = signed.document
            if key != keys.approval_key(model_package_arn, number) or document.number != number:
                raise SignatureError(f"a decision before {key} is missing")
            if document.model_package_arn != model_package_arn:
                raise SignatureError(f"{key} is a decision on another model package")
            if document.previous_sha256 != (decisions[-1].sha256 if decisions else None):
                raise SignatureError(f"the decision before {key} was changed")
            decisions.append(signed)
        return decisions

    def _verify_signature(self, signed: SignedDecision) -> None:
        try:
            with translated("verifying the decision"):
                answer = self.kms.verify(
                    KeyId=self.key_id,
                    Message=hashlib.sha256(signed.document.canonical()).digest(),
                    MessageType="DIGEST",
                    Signature=base64.b64decode(signed.signature),
                    SigningAlgorithm=signed.document.signing_algorithm,
                )
        except InvalidRequestError as error:
            if _code(error.__cause__) in _INVALID_SIGNATURE:
                raise SignatureError(f"the signature of {signed.key} is not valid") from error
            raise
        if not answer["SignatureValid"]:
            raise SignatureError(f"the signature of {signed.key} is not valid")

    def _signing_key(self) -> tuple[str, Algorithm]:
        with translated("the approval key"):
            key = self.kms.describe_key(KeyId=self.key_id)["KeyMetadata"]
        spec = key.get("KeySpec") or key.get("CustomerMasterKeySpec", "")
        if spec not in _ALGORITHMS:
            raise ConfigurationError(f"the approval key is of spec {spec}, which signs no approvals")
        return str(key["Arn"]), _ALGORITHMS[spec]


def record_decision(sagemaker: Any, signed: SignedDecision) -> None:
    """Say the signed decision in the registry; an approval there is the event that starts the deployment."""
    document = signed.document
    with translated(f"model package {document.model_package_arn}"):
        sagemaker.update_model_package(
            ModelPackageArn=document.model_package_arn,
            ModelApprovalStatus="Approved" if document.decision == "approve" else "Rejected",
            ApprovalDescription=f"{document.approver}: {document.meaning}"[:_LONGEST_DESCRIPTION],
            CustomerMetadataProperties={METADATA_DOCUMENT: signed.key, METADATA_DIGEST: signed.sha256},
        )


def _code(error: BaseException | None) -> str:
    return str(error.response["Error"]["Code"]) if isinstance(error, ClientError) else ""


def _parse(body: bytes, key: str) -> SignedDecision:
    try:
        signed = SignedDecision.model_validate_json(body)
    except ValidationError as error:
        raise SignatureError(f"{key} is no signed decision") from error
    if signed.stored() != body:
        raise SignatureError(f"{key} is not in canonical form")
    return signed


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
