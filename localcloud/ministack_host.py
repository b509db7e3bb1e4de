"""MiniStack, embedded: the only module that touches its private names (tests/contract/ministack checks each of them).

MiniStack reads its settings from the environment when it is imported, so the process applies :func:`environment`
before :func:`load`, once.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ahiflow.errors import ConfigurationError, ServiceUnavailableError

VERSION = "1.5.33"

# What MiniStack is trusted with, by signing name. Everything else is refused by the gateway: an emulation that nobody
# here has checked must not look like AWS.
HOSTED = frozenset(
    {"s3", "sqs", "sns", "events", "lambda", "dynamodb", "iam", "sts", "kms", "ssm", "secretsmanager", "logs"}
)

# What is kept on disk between starts, by MiniStack's module names. Rules, functions and event source mappings are not:
# the bootstrap makes them anew at every start.
KEPT = ("kms", "secretsmanager", "dynamodb", "sqs", "sns", "ssm", "iam", "s3", "cloudwatch_logs")


def environment(*, state: Path, port: int, account_id: str, region: str) -> dict[str, str]:
    """Variables that MiniStack reads: loopback only, objects on disk, no side listeners, no Docker."""
    return {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(state / "s3"),
        "PERSIST_STATE": "0",
        "LAMBDA_EXECUTOR": "local",
        "MINISTACK_ACCOUNT_ID": account_id,
        "MINISTACK_REGION": region,
        # MiniStack's own children never reach for a Docker daemon, nor does its reaper touch anyone's containers.
        "DOCKER_HOST": f"unix://{state / 'no-docker'}",
        "LOG_LEVEL": "WARNING",
    }


class MiniStack:
    """The imported emulator. ``capture`` and ``restore`` are for one thread at a time."""

    def __init__(self, *, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region
        self.app: Any = importlib.import_module("ministack.app").app
        self._responses: Any = importlib.import_module("ministack.core.responses")
        self._persistence: Any = importlib.import_module("ministack.core.persistence")
        self._eventbridge: Any = _service("eventbridge")
        self._lambda_runtime: Any = importlib.import_module("ministack.core.lambda_runtime")
        _forget_port_in_queue_urls(_service("sqs"))
        _refuse_unwritten_objects(_service("s3"))

    def capture(self, name: str) -> bytes:
        """State of one service as JSON. Call on the event loop, where requests are answered.

        Raises RuntimeError when one of MiniStack's own threads changed it meanwhile: try again later.
        """
        state = _service(name).get_state()
        return json.dumps(state, default=self._persistence._json_default).encode()

    def restore(self, name: str, document: bytes) -> None:
        """Load what ``capture`` gave, before serving. Raises ValueError when it is torn."""
        state = json.loads(document, object_hook=self._persistence._json_object_hook)
        self._in_account(lambda: _service(name).load_persisted_state(state))

    def put_event(self, *, source: str, detail_type: str, resources: Sequence[str], detail: Mapping[str, Any]) -> None:
        """Put one event on the default bus; ``aws.*`` sources are allowed here, in process, and nowhere else.

        Call on the event loop. Raises ServiceUnavailableError when the bus refuses it.
        """
        entry = {
            "Source": source,
            "DetailType": detail_type,
            "Resources": list(resources),
            "Detail": json.dumps(detail),
        }
        status, _, body = self._in_account(
            lambda: self._eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        )
        if status != 200 or json.loads(body)["FailedEntryCount"]:
            raise ServiceUnavailableError(f"the event bus refused an event of {source}: {detail_type}")

    def end_functions(self) -> None:
        """End the functions' processes. Those at work would go on without an endpoint; their events stay queued."""
        self._lambda_runtime.reset()

    def _in_account(self, act: Callable[[], Any]) -> Any:
        self._responses.set_request_account_id(self._account_id)
        self._responses.set_request_region(self._region)
        return act()


def load(*, account_id: str, region: str) -> MiniStack:
    """Import MiniStack. Raises ConfigurationError when it is another version than the one this was written for."""
    found = importlib.metadata.version("ministack")
    if found != VERSION:
        raise ConfigurationError(f"MiniStack {found} is installed, the local cloud was written for {VERSION}")
    return MiniStack(account_id=account_id, region=region)


def _service(name: str) -> Any:
    return importlib.import_module(f"ministack.services.{name}")


def _forget_port_in_queue_urls(sqs: Any) -> None:
    # Queues are keyed by a canonical URL that holds the port; kept queues must be found again on another port.
    # Callers see the host and port that they called, whatever the canonical URL is.
    sqs.DEFAULT_PORT = "4566"
    sqs._CANONICAL_NETLOC = f"{sqs.DEFAULT_HOST}:{sqs.DEFAULT_PORT}"


def _refuse_unwritten_objects(s3: Any) -> None:
    # MiniStack logs a failed write and answers 200. It drops the body from memory only once both files are written,
    # which tells: an object that did not reach the disk becomes an error for its sender (no false Success).
    original = s3._persist_object

    def persist(bucket: str, key: str, obj: Any) -> None:
        original(bucket, key, obj)
        if isinstance(obj, dict) and obj.get("body") is not None:
            raise OSError("the object could not be written to disk")

    s3._persist_object = persist
