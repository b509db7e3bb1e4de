"""The endpoint's container, over HTTP: what SageMaker hosting and a caller may rely on."""

from __future__ import annotations

import http.client
import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pydicom
import pytest
from moto import mock_aws
from pydicom.data import get_testdata_file

from ahiflow.errors import ConfigurationError, NotFoundError
from pipeline.inference.server import build_server
from pipeline.training import run as training
from tests.learning_support import DATASTORE, Made, container, phantoms, write_image_set

TINY = {"epochs": "2", "members": "1", "image_size": "32", "minimum_steps": "2"}
CT_FILE = str(get_testdata_file("CT_small.dcm"))
MR_FILE = str(get_testdata_file("MR_small.dcm"))


def small(images: Path) -> list[Made]:
    return phantoms(images, 8, slices=2, size=32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = container(tmp_path_factory.mktemp("served"), small, TINY)
    training.run(root)
    return root


@pytest.fixture(scope="module")
def port(root: Path) -> Iterator[int]:
    server = build_server(root, {"SAGEMAKER_BIND_TO_PORT": "0", "AHIFLOW_CONTAINER_ROOT": str(root)})
    assert server.server_address[0] == "127.0.0.1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def ask(port: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/invocations", body, {"Content-Type": content_type, **(headers or {})})
    response = connection.getresponse()
    document: dict[str, Any] = json.loads(response.read())
    connection.close()
    return response.status, document


def npy(array: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_ping_is_healthy(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/ping")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_dicom_file_and_its_array_get_the_same_answer(port: int) -> None:
    status, by_dicom = ask(port, Path(CT_FILE).read_bytes(), "application/dicom")
    assert status == 200
    assert 0 <= by_dicom["probability"] <= 1
    assert by_dicom["label"] == by_dicom["class_names"][by_dicom["probability"] >= 0.5]
    dataset = pydicom.dcmread(CT_FILE)
    rescale = {"X-Rescale-Slope": str(dataset.RescaleSlope), "X-Rescale-Intercept": str(dataset.RescaleIntercept)}
    _, by_array = ask(port, npy(dataset.pixel_array), "application/x-npy", rescale)
    assert by_array["probability"] == by_dicom["probability"]
    through_sagemaker = f"slope={dataset.RescaleSlope},intercept={dataset.RescaleIntercept}"
    custom = {"X-Amzn-SageMaker-Custom-Attributes": through_sagemaker}
    assert ask(port, npy(dataset.pixel_array), "application/x-npy", custom)[1] == by_array
    assert ask(port, npy(dataset.pixel_array), "application/x-npy")[1] != by_array, "rescale must matter"


def test_an_image_set_is_answered_by_its_uri(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    document = write_image_set(tmp_path, "asked", "p", np.full((3, 40, 40), 1024, np.int16))
    prefix = f"image-sets/{DATASTORE}/{document.image_set_id}/1/"
    body = json.dumps({"image_set_uri": f"s3://artifacts/{prefix}"}).encode()
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="artifacts")
        status, refused = ask(port, body, "application/json")
        assert (status, "does not exist" in refused["error"]) == (400, True)
        for name in ("image_set.json", "pixels.npy"):
            s3.upload_file(str(tmp_path / prefix.removeprefix("image-sets/") / name), "artifacts", prefix + name)
        status, answer = ask(port, body, "application/json")
    assert (status, answer["slices"]) == (200, 3)


@pytest.mark.parametrize(
    ("body", "content_type", "said"),
    [
        (b"", "application/dicom", "no body"),
        (b"hello", "text/plain", "Content-Type must be"),
        (b"hello", "application/dicom", "not a DICOM Part 10 file"),
        (Path(CT_FILE).read_bytes()[:3000], "application/dicom", "no usable pixel data"),
        (Path(MR_FILE).read_bytes(), "application/dicom", "trained on CT"),
        (b"hello", "application/x-npy", "not a NumPy array"),
        (npy(np.zeros((2, 2, 2, 2))), "application/x-npy", "axes"),
        (npy(np.full((4, 4), np.nan)), "application/x-npy", "not finite"),
        (npy(np.array([["a"]])), "application/x-npy", "must hold numbers"),
        (b"{", "application/json", "expected"),
        (b'{"image_set_uri": "s3://artifacts/secrets/x"}', "application/json", "expected"),
    ],
)
def test_what_is_malformed_is_refused_clearly(port: int, body: bytes, content_type: str, said: str) -> None:
    status, answer = ask(port, body, content_type)
    assert (status, said in answer["error"]) == (400, True), answer


def test_no_patient_reaches_the_log(port: int, caplog: pytest.LogCaptureFixture) -> None:
    dataset = pydicom.dcmread(CT_FILE)
    with caplog.at_level(logging.DEBUG):
        ask(port, Path(CT_FILE).read_bytes(), "application/dicom")
        ask(port, Path(CT_FILE).read_bytes()[:3000], "application/dicom")
    assert "invocation 400" in caplog.text
    for secret in (str(dataset.PatientName), str(dataset.PatientID), str(dataset.SOPInstanceUID)):
        assert secret not in caplog.text


def test_a_missing_model_and_a_bad_port_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"metadata\.json is missing"):
        build_server(tmp_path, {"SAGEMAKER_BIND_TO_PORT": "0"})
    with pytest.raises(ConfigurationError, match="SAGEMAKER_BIND_TO_PORT"):
        build_server(root, {"SAGEMAKER_BIND_TO_PORT": "http"})
