"""`ahiflow fetch` as a person types it: arrays in a directory, or one line that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pydicom.data
import pytest

from ahiflow import aws
from ahiflow.cli.main import main


@pytest.fixture
def imported(services: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """CT_small of pydicom; the environment points at their data store."""
    datastore_id = services.datastore()
    monkeypatch.setattr(aws, "client", services.client)
    monkeypatch.setenv("AHIFLOW_DATASTORE_ID", datastore_id)
    monkeypatch.setenv("AHIFLOW_PSEUDONYM_SECRET_ID", "ahiflow/pseudonym-key")
    content = Path(str(pydicom.data.get_testdata_file("CT_small.dcm"))).read_bytes()
    (image_set_id,) = services.import_files(datastore_id, {"CT_small.dcm": content})
    assert isinstance(image_set_id, str)
    return image_set_id


def ahiflow(*arguments: str) -> int:
    """Run the command; its exit code."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code or 0)


def test_arrays_equal_what_pydicom_decodes(imported: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ahiflow("fetch", imported, "--out", str(tmp_path / "x")) == 0
    dataset = pydicom.dcmread(str(pydicom.data.get_testdata_file("CT_small.dcm")))
    np.testing.assert_array_equal(np.load(tmp_path / "x" / "pixels.npy")[0], dataset.pixel_array)
    said = capsys.readouterr()
    assert "1 frames verified" in said.out
    assert said.err.splitlines() == ["fetching 1 frames", "1 of 1 frames verified"]


def test_json_is_all_that_a_program_sees(imported: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ahiflow("fetch", imported, "--out", str(tmp_path / "x"), "--json", "--version", "1") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["frames_verified"] == 1
    assert said.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["0" * 32], "does not exist"),
        (["nonsense"], "not a HealthImaging image set id"),
        (["0" * 32, "--format", "png"], "--format takes npy, nifti, raw; not png"),
        (["0" * 32, "--version", "newest"], "not an image set version id"),
    ],
)
def test_a_mistake_is_one_line(
    imported: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert ahiflow("fetch", *arguments, "--out", str(tmp_path / "x")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ahiflow: ")
    assert message in line
    assert not (tmp_path / "x").exists()


def test_settings_that_are_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ahiflow("fetch", "0" * 32, "--out", str(tmp_path)) == 1
    assert "AHIFLOW_PSEUDONYM_SECRET_ID is not set" in capsys.readouterr().err
    monkeypatch.setenv("AHIFLOW_PSEUDONYM_SECRET_ID", "x")
    assert ahiflow("fetch", "0" * 32, "--out", str(tmp_path)) == 1
    assert "AHIFLOW_DATASTORE_ID or give --datastore-id" in capsys.readouterr().err
