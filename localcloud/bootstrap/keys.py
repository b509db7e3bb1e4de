"""What must never change once it is made: the pseudonym key and the approval key; and the roles."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from ahiflow.errors import ConfigurationError
from localcloud.bootstrap.plan import ROLES, Plan
from localcloud.snapshots import write_private

_KEY_BYTES = 32


def ensure_pseudonym_key(secretsmanager: Any, plan: Plan, state: Path) -> None:
    """Make the secret ``<prefix>/pseudonym``, 64 hex characters.

    Its value is also in ``<state>/pseudonym.key`` (mode 0600), written before the secret: a crash in between, or lost
    emulator state, gives the same key again. Raises ConfigurationError when the two differ.
    """
    path = state / "pseudonym.key"
    try:
        secret = secretsmanager.get_secret_value(SecretId=plan.names.pseudonym_secret)
    except secretsmanager.exceptions.ResourceNotFoundException:
        if not path.exists():
            write_private(path, secrets.token_hex(_KEY_BYTES).encode())
        secretsmanager.create_secret(Name=plan.names.pseudonym_secret, SecretString=path.read_text())
        return
    if not path.exists():
        write_private(path, secret["SecretString"].encode())
    if path.read_text() != secret["SecretString"]:
        raise ConfigurationError(
            f"{path} and the secret {plan.names.pseudonym_secret} differ: restore the one that was used"
        )


def ensure_approval_key(kms: Any, plan: Plan) -> str:
    """Make the key that signs approvals (ECDSA on P-256, SHA-256) under its alias; gives its ARN."""
    try:
        return str(kms.describe_key(KeyId=plan.names.approval_key_alias)["KeyMetadata"]["Arn"])
    except kms.exceptions.NotFoundException:
        made = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256", Description="signs model approvals")
        kms.create_alias(AliasName=plan.names.approval_key_alias, TargetKeyId=made["KeyMetadata"]["KeyId"])
        return str(made["KeyMetadata"]["Arn"])


def ensure_roles(iam: Any, plan: Plan) -> None:
    """Make the roles that services are told to assume."""
    for role, principal in ROLES.items():
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}],
        }
        try:
            iam.get_role(RoleName=plan.names.role(role))
        except iam.exceptions.NoSuchEntityException:
            iam.create_role(RoleName=plan.names.role(role), AssumeRolePolicyDocument=json.dumps(trust))
