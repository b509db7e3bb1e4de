"""The judge of requests must be able to read every pattern of the operations that are served."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from localcloud.sagemaker import shapes
from localcloud.sagemaker.errors import ServiceError
from localcloud.sagemaker.service import SageMakerService
from localcloud.service import Backplane


def _nothing(*_: Any, **__: Any) -> None:
    return None


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    state = tmp_path_factory.mktemp("sagemaker")
    service = SageMakerService(Backplane(state, "123456789012", "us-east-1", "http://127.0.0.1:9", _nothing, _nothing))
    names = service.operation_names
    service.close()
    return names


def _patterns(shape: Any, seen: set[str]) -> set[str]:
    if shape is None or shape.name in seen:
        return set()
    seen.add(shape.name)
    inner = list(getattr(shape, "members", {}).values())
    inner += [getattr(shape, name) for name in ("member", "key", "value") if hasattr(shape, name)]
    own = {shape.metadata["pattern"]} if "pattern" in shape.metadata else set()
    return own.union(*(_patterns(item, seen) for item in inner)) if inner else own


def test_every_served_operation_is_sagemakers_and_its_patterns_compile(served: frozenset[str]) -> None:
    assert len(served) == 46
    for name in served:
        for pattern in _patterns(shapes.operation(name).input_shape, set()):
            shapes.compile_pattern(pattern)


@pytest.mark.parametrize(
    ("operation", "request_", "told"),
    [
        ("DescribePipeline", {}, "PipelineName"),
        ("DescribePipeline", {"PipelineName": "a b"}, "regular expression pattern"),
        ("DescribePipeline", {"PipelineName": "a", "Colour": "red"}, "Colour"),
        ("ListPipelines", {"MaxResults": 101}, "less than or equal to 100"),
        ("ListPipelines", {"SortOrder": "Sideways"}, "enum value set"),
        ("StopProcessingJob", {"ProcessingJobName": "x" * 64}, "length less than or equal to 63"),
        ("AddTags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:pipeline/a",
                     "Tags": [{"Key": "a\n", "Value": "b"}]}, "Tags.1.member.Key"),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_refused_by_member(operation: str, request_: dict[str, Any], told: str) -> None:
    with pytest.raises(ServiceError) as caught:
        shapes.check_request(operation, request_)
    assert caught.value.code == "ValidationException"
    assert told in caught.value.message


def test_names_in_other_scripts_are_letters() -> None:
    shapes.check_request(
        "UpdateModelPackage",
        {
            "ModelPackageArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package/g/1",
            "CustomerMetadataProperties": {"prüfer": "Åsa 山田"},
        },
    )


def test_a_definition_of_a_megabyte_is_checked_in_no_time(tmp_path: Path) -> None:
    letters = random.Random(1).choices("ab \n{}", k=1_000_000)
    request = {
        "PipelineName": "p",
        "PipelineDefinition": "".join(letters),
        "RoleArn": "arn:aws:iam::123456789012:role/r",
    }
    shapes.check_request("CreatePipeline", request | {"ClientRequestToken": "t" * 32})
    with pytest.raises(ServiceError):
        shapes.check_request("CreatePipeline", request | {"ClientRequestToken": "t" * 31})
