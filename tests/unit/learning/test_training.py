"""Training learns, resumes to the same weights, and leaves a bundle that predicts what was trained."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from ahiflow.dataset import parse_manifest
from ahiflow.errors import ConfigurationError, DatasetError
from pipeline.bundle import unpack
from pipeline.evaluation.__main__ import evaluate
from pipeline.imaging import evenly_spaced, load_image_set, modality_values
from pipeline.training import run as training
from pipeline.training.checkpoint import CheckpointStore
from pipeline.training.config import TrainingConfig
from pipeline.training.data import TrainingData, load_training_data
from pipeline.training.loop import EpochResult, train
from pipeline.training.preprocess import to_square
from tests.learning_support import Made, container, phantoms, write_image_set

TINY = {"epochs": "8", "members": "2", "image_size": "32", "minimum_steps": "6", "batch_size": "4"}


def easy(images: Path) -> list[Made]:
    """A cohort whose lesion fills much of a small image."""
    return phantoms(images, 12, slices=3, size=32, contrast_hu=500.0, radii=(0.09, 0.12))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = container(tmp_path_factory.mktemp("trained"), easy, TINY)
    training.run(root)
    return root


def load(root: Path) -> tuple[TrainingData, TrainingConfig]:
    config = TrainingConfig.from_hyperparameters(TINY)
    manifest = parse_manifest((root / "input/data/dataset/manifest.json").read_bytes())
    return load_training_data(manifest, root / "input/data/images", config), config


def test_the_loss_goes_down_on_both_splits(trained: Path) -> None:
    rows = json.loads((trained / "output/data/curves.json").read_text())["epochs"]
    assert min(row["validation_loss"] for row in rows) < 0.8 * rows[0]["validation_loss"]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


class Interrupted(Exception):
    """What a spot interruption does to the program."""


def test_an_interrupted_training_ends_with_the_same_weights(trained: Path, tmp_path: Path) -> None:
    data, config = load(trained)
    device = torch.device("cpu")
    unbroken = train(data, config, device, save=lambda state: None, report=lambda result: None)
    store = CheckpointStore(tmp_path, "this training")

    def interrupt(result: EpochResult) -> None:
        if result.epoch == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(data, config, device, save=store.save, report=interrupt)
    state = store.load(device)
    assert state is not None
    assert len(state["results"]) == 3
    resumed = train(data, config, device, resume_from=state, save=store.save, report=lambda result: None)
    assert resumed.epochs == unbroken.epochs
    for name, weights in unbroken.network.state_dict().items():
        assert torch.equal(weights, resumed.network.state_dict()[name]), name


def test_a_checkpoint_of_another_training_is_not_continued(tmp_path: Path) -> None:
    CheckpointStore(tmp_path, "one").save({"results": []})
    assert CheckpointStore(tmp_path, "another").load(torch.device("cpu")) is None


def test_the_bundle_is_complete_and_its_weights_are_those_of_the_script(trained: Path) -> None:
    model = trained / "model"
    metadata = json.loads((model / "configs/metadata.json").read_text())
    manifest = parse_manifest((trained / "input/data/dataset/manifest.json").read_bytes())
    assert metadata["ahiflow"]["dataset_sha256"] == manifest.sha256
    assert "Not for diagnosis" in (model / "docs/README.md").read_text()
    parser = ConfigParser()
    parser.read_config(str(model / "configs/inference.json"))
    parser["bundle_root"] = str(model)
    parser.get_parsed_content("load")
    network, script = parser.get_parsed_content("network"), parser.get_parsed_content("script")
    pixels = load_image_set(trained / "input/data/images" / manifest.items[0].path, 32)
    slices = torch.from_numpy(pixels.slices)
    prepared = to_square(slices, 32, hounsfield=True)
    with torch.no_grad():
        assert torch.sigmoid(network(prepared, [len(prepared)]))[0] == pytest.approx(float(script(slices)), abs=1e-6)


def test_no_pseudonym_is_in_the_model(trained: Path) -> None:
    manifest = parse_manifest((trained / "input/data/dataset/manifest.json").read_bytes())
    text = b"".join(p.read_bytes() for p in sorted((trained / "model").rglob("*")) if p.is_file())
    assert not any(patient.encode() in text for patient in manifest.patients())


def test_evaluation_uses_the_test_patients_only_and_finds_what_was_learned(trained: Path, tmp_path: Path) -> None:
    inputs = tmp_path / "processing" / "input"
    (inputs / "model").mkdir(parents=True)
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(trained / "model", arcname=".")
    (inputs / "dataset").symlink_to(trained / "input/data/dataset")
    (inputs / "images").symlink_to(trained / "input/data/images")
    evaluation = evaluate(tmp_path, minimum_roc_auc=0.7)
    manifest = parse_manifest((trained / "input/data/dataset/manifest.json").read_bytes())
    assert {p["patient_pseudonym"] for p in evaluation["predictions"]} == manifest.patients("test")
    assert evaluation["binary_classification_metrics"]["roc_auc"]["value"] > 0.9
    assert evaluation["gate"]["passed"] == 1
    assert evaluate(tmp_path, minimum_roc_auc=1.01)["gate"]["passed"] == 0
    written = json.loads((tmp_path / "processing/output/evaluation/evaluation.json").read_text())
    assert written["dataset_sha256"] == manifest.sha256
    assert "Quality gate: refused" in (tmp_path / "processing/output/evaluation/report.html").read_text()
    other = manifest.model_copy(update={"label_name": "other"})
    (inputs / "dataset").unlink()
    (inputs / "dataset").mkdir()
    (inputs / "dataset" / "manifest.json").write_bytes(other.canonical_json())
    with pytest.raises(DatasetError, match="trained on another dataset"):
        evaluate(tmp_path, minimum_roc_auc=0.7)


def test_an_archive_that_reaches_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "evil", arcname="../evil")
    with pytest.raises(ConfigurationError, match="not a usable archive"):
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epocs": "3"}, "unknown hyperparameter epocs"),
        ({"epochs": "0"}, "hyperparameter epochs: "),
        ({"learning_rate": "fast"}, "hyperparameter learning_rate: "),
        ({"dropout": "1.0"}, "hyperparameter dropout: "),
    ],
)
def test_hyperparameters_are_refused_by_name(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        TrainingConfig.from_hyperparameters(given)


def test_hyperparameters_are_read_as_sagemaker_writes_them() -> None:
    assert TrainingConfig.from_hyperparameters({"epochs": "3", "learning_rate": '"0.01"'}) == TrainingConfig(
        epochs=3, learning_rate=0.01
    )


def test_the_defaults_of_the_definition_are_those_of_the_config() -> None:
    from ahiflow.pipeline_contract import HYPERPARAMETERS

    assert TrainingConfig.from_hyperparameters(HYPERPARAMETERS) == TrainingConfig()


def test_values_are_rescaled_slice_by_slice() -> None:
    stored = np.array([[[0, 1]], [[0, 1]]], np.int16)
    slopes, intercepts = np.array([1, 2], np.float32), np.array([-1024, 10], np.float32)
    values = modality_values(stored, "MONOCHROME2", slopes, intercepts)
    assert values.tolist() == [[[-1024, -1023]], [[10, 12]]]
    assert modality_values(stored, "MONOCHROME1", slopes, intercepts)[1].tolist() == [[-10, -12]]


def test_padding_and_resizing_keep_rows_and_columns_apart() -> None:
    slices = torch.full((1, 32, 64), 100.0)
    square = to_square(slices, 64, hounsfield=True)
    assert square.shape == (1, 64, 64)
    assert torch.all(square == 100.0)  # padded with the darkest value, which is the only one here
    slices[0, :, 0] = -1000.0
    square = to_square(slices, 64, hounsfield=True)
    assert torch.all(square[0, :16] == -1000.0)
    assert torch.all(square[0, 16:48, 1:] == 100.0)


def test_slices_are_chosen_evenly_and_ends_included() -> None:
    assert evenly_spaced(3, 8) == [0, 1, 2]
    assert evenly_spaced(101, 3) == [0, 50, 100]
    assert evenly_spaced(9, 1) == [4]


def test_an_image_set_whose_pixels_are_not_what_it_says_is_refused(tmp_path: Path) -> None:
    document = write_image_set(tmp_path, "a", "p", np.zeros((2, 8, 8), np.int16))
    folder = tmp_path / document.datastore_id / document.image_set_id / "1"
    np.save(folder / "pixels.npy", np.zeros((1, 8, 8), np.int16))
    with pytest.raises(DatasetError, match=r"not what image_set\.json says"):
        load_image_set(folder, 8)
    (folder / "pixels.npy").unlink()
    with pytest.raises(DatasetError, match=r"pixels.npy is missing"):
        load_image_set(folder, 8)


def test_ct_and_other_modalities_are_not_mixed(tmp_path: Path) -> None:
    def mixed(images: Path) -> list[Made]:
        made = easy(images)
        for item in made[::2]:
            path = item.folder / "image_set.json"
            path.write_text(path.read_text().replace('"Modality": "CT"', '"Modality": "MR"'))
        return made

    root = container(tmp_path, mixed, TINY)
    with pytest.raises(DatasetError, match="CT and other modalities"):
        load(root)
