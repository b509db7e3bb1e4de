"""An immutable S3 URI: parse, join, print."""

from __future__ import annotations

from dataclasses import dataclass

from ahiflow.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class S3Uri:
    """A bucket and a key or key prefix. The key never starts with ``/`` and may be empty or end with ``/``."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Parse ``s3://bucket[/key]``. Raises ConfigurationError."""
        scheme, separator, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not separator or not bucket:
            raise ConfigurationError(f"not an S3 URI: {text!r}")
        return cls(bucket, key)

    def __truediv__(self, name: str) -> S3Uri:
        prefix = self.key if not self.key or self.key.endswith("/") else self.key + "/"
        return S3Uri(self.bucket, prefix + name)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"
