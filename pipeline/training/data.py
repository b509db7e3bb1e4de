"""From the channels to tensors: image sets of one split, and what augmentation makes of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import RandGaussianNoise, RandShiftIntensity
from monai.transforms.spatial.array import RandAffine, RandFlip
from torch import Tensor

from ahiflow.dataset import DatasetManifest, Split
from ahiflow.errors import DatasetError
from pipeline.imaging import Intensity, intensity_of, load_image_set
from pipeline.training.config import TrainingConfig
from pipeline.training.preprocess import to_square


@dataclass(frozen=True, slots=True)
class Sample:
    """One image set: ``slices`` (slice, row, column) as the network takes them, its label, and whose it is."""

    slices: Tensor
    label: int
    patient: str


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The training and validation image sets. The test split is not even opened."""

    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    intensity: Intensity
    modalities: tuple[str, ...]


def load_training_data(manifest: DatasetManifest, images: Path, config: TrainingConfig) -> TrainingData:
    """Load both splits. Raises DatasetError when CT and other modalities are mixed: their values do not compare."""
    raw = {
        split: [(load_image_set(images / s.path, config.maximum_slices), s) for s in manifest.of_split(split)]
        for split in ("train", "validation")
    }
    modalities = sorted({pixels.modality for loaded in raw.values() for pixels, _ in loaded})
    intensities = {intensity_of(modality) for modality in modalities}
    if len(intensities) != 1:
        raise DatasetError(f"CT and other modalities in one dataset: {', '.join(modalities)}")
    intensity = intensities.pop()

    def prepare(split: Split) -> tuple[Sample, ...]:
        return tuple(
            Sample(
                to_square(torch.from_numpy(pixels.slices), config.image_size, intensity == "hounsfield"),
                item.label,
                item.patient_pseudonym,
            )
            for pixels, item in raw[split]
        )

    return TrainingData(prepare("train"), prepare("validation"), intensity, tuple(modalities))


class Augmentation:
    """Random changes that do not change the label: rotation by any angle, position, size, mirror image, noise, offset.

    Any angle, although patients do not lie so: with few patients it is anatomy that a network learns by heart.
    """

    def __init__(self, intensity: Intensity) -> None:
        unit = 1.0 if intensity == "hounsfield" else 0.001
        self._transform = Compose(
            [
                RandFlip(prob=0.5, spatial_axis=1),
                RandAffine(
                    prob=1.0,
                    rotate_range=math.pi,
                    scale_range=0.2,
                    translate_range=8,
                    padding_mode="border",
                    mode="bilinear",
                ),
                RandShiftIntensity(offsets=20 * unit, prob=0.5),
                RandGaussianNoise(prob=0.5, std=25 * unit),
            ]
        )

    def seed(self, seed: int) -> None:
        """Start its random numbers anew, so that an epoch does not depend on those before."""
        self._transform.set_random_state(seed=seed)

    def __call__(self, slices: Tensor, maximum_slices: int, generator: torch.Generator) -> Tensor:
        """Draw at most ``maximum_slices`` of an image set and change them all in the same way (slice, row, column)."""
        if len(slices) > maximum_slices:
            slices = slices[torch.randperm(len(slices), generator=generator)[:maximum_slices]]
        return torch.as_tensor(self._transform(slices))


def draw_batches(labels: Sequence[int], steps: int, batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Indices of each batch of one epoch, the classes drawn alternately and each without repetition until used up."""
    of_class = [[i for i, label in enumerate(labels) if label == wanted] for wanted in (0, 1)]
    streams = [_endless(indices, generator) for indices in of_class if indices]
    turn = 0
    for _ in range(steps):
        batch = []
        for _ in range(batch_size):
            batch.append(next(streams[turn % len(streams)]))
            turn += 1
        yield batch


def collate(samples: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
    """Stack the slices of several image sets; how many are whose."""
    return torch.cat(list(samples)), [len(slices) for slices in samples]


def _endless(indices: Sequence[int], generator: torch.Generator) -> Iterator[int]:
    while True:
        for position in torch.randperm(len(indices), generator=generator).tolist():
            yield indices[position]
