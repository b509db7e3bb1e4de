"""Tokens derived from the cause, so that a redelivered event starts nothing twice (design.md promise 4)."""

from __future__ import annotations

import hashlib


def derive_token(purpose: str, *parts: str) -> str:
    """Return 64 hex characters that depend on every part and on their boundaries.

    The length and alphabet satisfy both HealthImaging's ClientToken (1-64 of ``[A-Za-z0-9._-]``) and SageMaker's
    IdempotencyToken (32-128). ``purpose`` names the act ("start-import", "start-pipeline").
    """
    text = "\x1f".join((purpose, *parts))
    return hashlib.sha256(text.encode()).hexdigest()
