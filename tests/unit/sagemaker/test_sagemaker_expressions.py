"""Paths and expressions, as the SDK writes them."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.sagemaker.errors import StepFailedError
from localcloud.sagemaker.expressions import parse_get, parse_path, references
from localcloud.sagemaker.resolve import Resolver

JOB = {
    "ProcessingOutputConfig": {"Outputs": [{"OutputName": "a", "S3Output": {"S3Uri": "s3://b/a"}}]},
    "FinalMetricDataList": [{"MetricName": "loss", "Value": 0.5}],
    "HyperParameters": {"x.y": "1"},
}


def _resolver() -> Resolver:
    return Resolver(
        parameters={"Name": "n", "Count": 3, "Rate": 0.5, "Yes": True},
        variables={"PipelineExecutionId": "abc"},
        describe=lambda step: {"Job": JOB}[step],
        outcome=lambda step: "True",
        property_file=lambda step, name: {"a": [{"b-c": 1}], "roc": {"value": 0.9}},
        json_at=lambda uri: {"uri": uri},
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Get": "Parameters.Count"}, 3),
        ({"Get": "Execution.PipelineExecutionId"}, "abc"),
        ({"Get": "Steps.Job.ProcessingOutputConfig.Outputs['a'].S3Output.S3Uri"}, "s3://b/a"),
        ({"Get": "Steps.Job.ProcessingOutputConfig.Outputs[0].OutputName"}, "a"),
        ({"Get": 'Steps.Job.FinalMetricDataList["loss"].Value'}, 0.5),
        ({"Get": "Steps.Job.HyperParameters['x.y']"}, "1"),
        ({"Get": "Steps.Ask.Outcome"}, "True"),
        (
            {"Std:Join": {"On": "/", "Values": ["s3:/", {"Get": "Parameters.Name"}, {"Get": "Parameters.Rate"}, 7]}},
            "s3://n/0.5/7",
        ),
        ({"Std:Join": {"Values": [{"Get": "Parameters.Yes"}]}}, "true"),
        ({"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Job.PropertyFiles.F"}, "Path": "roc.value"}}, 0.9),
        ({"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Job.PropertyFiles.F"}, "Path": "$.a[0]['b-c']"}}, 1),
        (
            {"Std:JsonGet": {"S3Uri": {"Std:Join": {"Values": ["s3://", {"Get": "Parameters.Name"}]}}, "Path": "uri"}},
            "s3://n",
        ),
        ({"a": [{"Get": "Parameters.Name"}], "b": None}, {"a": ["n"], "b": None}),
    ],
)  # fmt: skip
def test_expressions_resolve(value: Any, expected: Any) -> None:
    assert list(references(value)) is not None
    assert _resolver().resolve(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"Get": "Steps.Job.FinalMetricDataList['auc'].Value"},
        {"Get": "Steps.Job.ProcessingOutputConfig.Outputs[1].OutputName"},
        {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Job.PropertyFiles.F"}, "Path": "roc.other"}},
        {"Std:Join": {"On": "", "Values": [{"Get": "Steps.Job.HyperParameters"}]}},
    ],
)
def test_what_is_not_there_fails_the_step_by_name(value: Any) -> None:
    with pytest.raises(StepFailedError, match="ClientError: Unable to resolve an expression"):
        _resolver().resolve(value)


@pytest.mark.parametrize(
    "value",
    [
        {"Get": "Nowhere.X"},
        {"Get": 3},
        {"Std:Join": {"On": "-"}},
        {"Std:Join": {"Values": [], "With": "-"}},
        {"Std:JsonGet": {"Path": "x"}},
        {"Std:JsonGet": {"Path": "x..", "S3Uri": "s3://b/k"}},
        {"Std:Upper": "x"},
    ],
)
def test_a_malformed_expression_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):  # each says something else
        list(references(value))


def test_paths() -> None:
    assert parse_path(".a.b['c d'][0].e-f") == ("a", "b", "c d", 0, "e-f")
    reference = parse_get("Steps.Train-1.ModelArtifacts.S3ModelArtifacts")
    assert (reference.scope, reference.name) == ("Steps", "Train-1")
