"""MiniStack's private names that ministack_host relies on: an upgrade that changes one fails here, by name."""

from __future__ import annotations

import sys

import pytest
from localcloud_fixtures import run

from localcloud.ministack_host import VERSION

# Imported in a process of its own: MiniStack changes the process that imports it.
_PROGRAM = """
import os, pathlib, tempfile
from localcloud import ministack_host
state = pathlib.Path(tempfile.mkdtemp())
os.environ.update(ministack_host.environment(state=state, port=1, account_id="123456789012", region="us-east-1"))
host = ministack_host.load(account_id="123456789012", region="us-east-1")
"""

_CLAIMS = {
    "the ASGI application": "assert callable(host.app)",
    "every kept service can be captured and restored": """
for name in ministack_host.KEPT:
    host.restore(name, host.capture(name))
""",
    "queue URLs do not depend on the port": """
from ministack.services import sqs
assert sqs._queue_url_for_account("123456789012", "q") == "http://localhost:4566/123456789012/q"
""",
    "objects go to the state directory": """
from ministack.services import s3
assert s3.S3_PERSIST is True and s3.DATA_DIR == str(state / "s3")
obj = {"body": b"x"}
(state / "s3").mkdir()
s3._persist_object("bucket", "key", obj)
assert obj["body"] is None and list((state / "s3").rglob("key"))
""",
    "Docker is out of reach": """
from ministack import app
assert app._docker_socket_present() is False
""",
    "its own saving at shutdown is off, so that only the snapshots write": """
from ministack.core import persistence
assert persistence.PERSIST_STATE is False
""",
    "events of aws.* sources are put in process": """
host.put_event(source="aws.sagemaker", detail_type="t", resources=[], detail={})
""",
    "the functions' processes can be ended": """
from ministack.core import lambda_runtime
ended = []
lambda_runtime.kill_workers = ended.extend
lambda_runtime._workers["f"] = ["worker"]
host.end_functions()
assert ended == ["worker"]
""",
    "scheduled rules fire by themselves": """
import json
from ministack.core.responses import set_request_account_id
from ministack.services import eventbridge as eb
set_request_account_id("123456789012")
eb._ensure_default_bus()
fired = []
eb._invoke_target = lambda target, event, rule, view: fired.append(event["DetailType"])
eb._put_rule({"Name": "sweep", "ScheduleExpression": "rate(5 minutes)"})
eb._put_targets({"Rule": "sweep", "Targets": [{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:q"}]})
now = eb._now_ts
eb._tick_scheduled_rules()
assert fired == []
eb._now_ts = lambda: now() + 301
eb._tick_scheduled_rules()
assert fired == ["Scheduled Event"], fired
""",
}


@pytest.mark.parametrize("claim", list(_CLAIMS))
def test_ministack_still_has(claim: str) -> None:
    done = run([sys.executable, "-c", _PROGRAM + _CLAIMS[claim]])
    assert done.returncode == 0, f"MiniStack is not as ministack_host needs it (written for {VERSION}): {done.stderr}"


def test_another_version_is_refused() -> None:
    program = "import importlib.metadata as m; m.version = lambda name: '9.9'\n" + _PROGRAM
    done = run([sys.executable, "-c", program])
    assert f"MiniStack 9.9 is installed, the local cloud was written for {VERSION}" in done.stderr
