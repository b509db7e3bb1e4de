"""kill -9 of the local cloud: what was cut off is finished or failed with its reason, never lost; nothing runs on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sagemaker_support import BUCKET, REPOSITORY, Bus, program_pids, running_cloud, wait_until
from test_sagemaker_registry_and_endpoints import answers_version_one, model_archive

from localcloud.sagemaker.process import start_time

EXECUTION_EVENT = "SageMaker Model Building Pipeline Execution Status Change"

_PIPELINE = """
import sys
from pathlib import Path
sys.path[:0] = [{repository!r}, {tests!r}]
from moto import mock_aws
from sagemaker_support import BUCKET, client, processing, running_cloud
with mock_aws():
    s3 = client(None, "s3")
    s3.create_bucket(Bucket=BUCKET)
    with running_cloud(Path({state!r}), s3) as cloud:
        cloud.pipeline(processing("A", "wait", {go!r}), processing("B", "write", "b.txt", "1", DependsOn=["A"]))
        print(cloud.start(), flush=True)
        sys.stdin.read()
"""


@pytest.mark.parametrize("times", [1, 2], ids=["once: run again", "twice: failed with the reason"])
def test_kill_9_loses_nothing(tmp_path: Path, s3: Any, times: int) -> None:
    state, go = tmp_path / "state", tmp_path / "go"
    values = {"state": str(state), "go": str(go), "repository": str(REPOSITORY), "tests": str(Path(__file__).parent)}
    first = subprocess.Popen(
        [sys.executable, "-c", _PIPELINE.format(**values)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ""},
    )  # fmt: skip
    assert first.stdout is not None
    arn = first.stdout.readline().strip()
    strays = wait_until("the program runs", lambda: program_pids(state))
    first.kill()
    first.wait()
    assert program_pids(state) == strays, "the test is void: the program died with the service"
    bus = Bus()
    if times == 2:
        _interrupt_again(state, s3, strays)
    with running_cloud(state, s3, bus=bus) as cloud:
        assert not set(strays) & set(program_pids(state))
        go.touch()
        end = cloud.end(arn)
        steps = cloud.steps(arn)
        if times == 1:
            assert end["PipelineExecutionStatus"] == "Succeeded"
            assert (steps["A"]["AttemptCount"], steps["B"]["AttemptCount"]) == (2, 1)
        else:
            assert end["PipelineExecutionStatus"] == "Failed"
            assert "restarted while the job ran" in steps["A"]["FailureReason"]
        jobs = cloud.sagemaker.list_processing_jobs(NameContains="-A-")["ProcessingJobSummaries"]
        assert sorted(job["ProcessingJobStatus"] for job in jobs) == sorted(
            ["Failed"] * times + ["Completed"] * (times == 1)
        )
        wait_until("the end is told", lambda: bus.details(EXECUTION_EVENT))
        assert bus.details(EXECUTION_EVENT)[-1]["currentPipelineExecutionStatus"] == end["PipelineExecutionStatus"]


def _interrupt_again(state: Path, s3: Any, strays: list[int]) -> None:
    """A second service takes the execution up and goes down while the program runs."""
    with running_cloud(state, s3):
        wait_until("the program runs again", lambda: set(program_pids(state)) - set(strays))


_ENDPOINT = """
import sys
from pathlib import Path
sys.path[:0] = [{repository!r}, {tests!r}]
from moto import mock_aws
from sagemaker_support import BUCKET, client, running_cloud
from test_sagemaker_registry_and_endpoints import _config, _data, _until
with mock_aws():
    s3 = client(None, "s3")
    s3.create_bucket(Bucket=BUCKET)
    with running_cloud(Path({state!r}), s3) as cloud:
        _config(cloud, "one", _data(cloud, "one", version=1))
        cloud.sagemaker.create_endpoint(EndpointName="ahi-model", EndpointConfigName="one")
        _until(cloud, "InService")
        print(cloud.service._endpoints.server("ahi-model").identity["pid"], flush=True)
        sys.stdin.read()
"""


def test_an_endpoint_survives_kill_9(tmp_path: Path, s3: Any) -> None:
    values = {"state": str(tmp_path), "repository": str(REPOSITORY), "tests": str(Path(__file__).parent)}
    first = subprocess.Popen(
        [sys.executable, "-c", _ENDPOINT.format(**values)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    stray = int(first.stdout.readline())
    first.kill()
    first.wait()
    s3.put_object(Bucket=BUCKET, Key="one/model.tar.gz", Body=model_archive(version=1))
    assert start_time(stray) is not None, "the test is void: the server died with the service"
    with running_cloud(tmp_path, s3) as cloud:
        wait_until("the stray server is gone", lambda: start_time(stray) is None)
        wait_until("it answers again", lambda: answers_version_one(cloud))
