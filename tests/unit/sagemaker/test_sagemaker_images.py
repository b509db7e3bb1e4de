"""What a Dockerfile says is what starts; a job would otherwise run something else than its container."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ahiflow.errors import ConfigurationError
from ahiflow.pipeline_contract import IMAGE_FOLDERS
from localcloud.sagemaker.dockerfile import read_image_start
from localcloud.sagemaker.errors import JobFailedError
from localcloud.sagemaker.images import Image, Images

REPOSITORY = Path(__file__).resolve().parents[3]
DOCKERFILE = """
# syntax=docker/dockerfile:1
FROM python:3.12 AS build
ENV A=1 B="two words" \\
    NOT_YET=${A}x
ENV C=${A}3
RUN echo x \\
 && echo y
FROM --platform=linux/amd64 build AS final
ENV LEGACY some text
ENV PATH="/opt/bin:$PATH"
ENTRYPOINT ["python3", "-m", "pipeline"]
CMD ["train"]
"""


def test_the_last_stage_counts_with_what_it_inherits() -> None:
    start = read_image_start(DOCKERFILE, "Dockerfile")
    assert (start.entrypoint, start.command) == (("python3", "-m", "pipeline"), ("train",))
    image = Image(start, Path())
    assert image.environment == {"A": "1", "B": "two words", "C": "13", "NOT_YET": "x", "LEGACY": "some text"}
    assert image.command_argv("serve") == [sys.executable, "-m", "pipeline", "serve"]
    assert image.processing_argv(None, None) == [sys.executable, "-m", "pipeline", "train"]
    assert image.processing_argv(None, ["--x"]) == [sys.executable, "-m", "pipeline", "--x"]
    assert image.processing_argv(["python", "-m", "pipeline.curation"], ["--y"])[1:] == [
        "-m",
        "pipeline.curation",
        "--y",
    ]


@pytest.mark.parametrize("line", ["ENTRYPOINT python -m x", "CMD train", 'CMD ["train", 1]'])
def test_the_shell_form_is_refused(line: str) -> None:
    with pytest.raises(ConfigurationError, match="exec form"):
        read_image_start(f"FROM python:3.12\n{line}\n", "pipeline/Dockerfile")


@pytest.mark.parametrize("name", IMAGE_FOLDERS)
def test_every_shipped_image_can_be_started(name: str) -> None:
    if not (REPOSITORY / IMAGE_FOLDERS[name] / "Dockerfile").exists():
        pytest.skip(f"no {IMAGE_FOLDERS[name]}/Dockerfile")
    image = Images(REPOSITORY).get(f"123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow/{name}:1.0")
    assert image.start.entrypoint or image.start.command


@pytest.mark.parametrize("uri", ["python:3.12", "123456789012.dkr.ecr.us-east-1.amazonaws.com/ahiflow/nothing:1"])
def test_an_unknown_image_is_named(uri: str) -> None:
    with pytest.raises(JobFailedError, match=uri):
        Images(REPOSITORY).get(uri)
