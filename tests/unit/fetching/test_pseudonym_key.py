"""Pseudonyms: keyed, separate by purpose, and never with a weak or missing key."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ahiflow.errors import ConfigurationError, NotFoundError
from ahiflow.pseudonym import Pseudonyms

KEY = b"k" * 32


def test_is_hmac_sha256_of_purpose_and_value() -> None:
    expected = hmac.new(KEY, b"patient:P1", hashlib.sha256).hexdigest()
    assert Pseudonyms(KEY).patient("P1") == expected


def test_purposes_and_keys_give_unrelated_pseudonyms() -> None:
    one, other = Pseudonyms(KEY), Pseudonyms(b"l" * 32)
    found = {method("1.2.3") for p in (one, other) for method in (p.patient, p.study, p.series, p.sop_instance)}
    assert len(found) == 8
    assert one.key_check() != other.key_check()


def test_a_short_key_is_refused_and_no_key_is_ever_printed() -> None:
    with pytest.raises(ConfigurationError, match="31 bytes"):
        Pseudonyms(b"k" * 31)
    assert "kkk" not in repr(Pseudonyms(KEY))


@pytest.mark.parametrize("secret", [{"SecretString": "k" * 32}, {"SecretBinary": KEY}])
def test_key_comes_from_secrets_manager(secret: dict[str, Any]) -> None:
    with mock_aws():
        client = boto3.client("secretsmanager")
        client.create_secret(Name="ahiflow/pseudonym-key", **secret)
        assert Pseudonyms.from_secret(client, "ahiflow/pseudonym-key").patient("P1") == Pseudonyms(KEY).patient("P1")
        with pytest.raises(NotFoundError, match="the pseudonym secret nowhere"):
            Pseudonyms.from_secret(client, "nowhere")
