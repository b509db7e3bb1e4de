"""The network: slices of one image set in, one logit out. Chosen before any data was seen (docs/learning.md)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn
from torch.nn import functional

# Windows [lower, upper] that become input channels, and edges of the histogram's bins.
# HU: all tissue, soft tissue, and what is brighter than soft tissue (contrast medium, bone).
HOUNSFIELD_WINDOWS = ((-1000.0, 400.0), (-160.0, 240.0), (100.0, 500.0))
HOUNSFIELD_EDGES = (-200.0, -100.0, -50.0, 0.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 1000.0)
RELATIVE_WINDOWS = ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0))
RELATIVE_EDGES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.01)
# Which experts are listened to: by area fractions only, by shapes only, by both.
EXPERT_CHOICES = {"values": (1.0, 0.0), "shapes": (0.0, 1.0), "both": (1.0, 1.0)}
_CHANNELS = (8, 16, 32, 48)
_STRIDES = (2, 2, 2, 1)


class AreaFractions(nn.Module):
    """Share of the body that lies in each bin of values, as a logarithm. Fixed: learns nothing, so needs few samples.

    Input (slice, row, column), output (slice, bin). The body is what exceeds the first edge; a 3x3 mean takes out
    noise; bins have soft borders, a tenth of a bin wide.
    """

    def __init__(self, edges: Sequence[float]) -> None:
        super().__init__()
        self.edges = nn.Buffer(torch.tensor(edges))

    def forward(self, slices: Tensor) -> Tensor:
        """Return log(share + 0.001)."""
        smooth = functional.avg_pool2d(slices.unsqueeze(1), 3, stride=2, padding=1, count_include_pad=False).squeeze(1)
        widths = (self.edges[1:] - self.edges[:-1]).view(1, -1, 1, 1)
        above = torch.sigmoid((smooth.unsqueeze(1) - self.edges.view(1, -1, 1, 1)) / (0.1 * widths.min()))
        shares = (above[:, :-1] - above[:, 1:]).mean(dim=(2, 3)) / above[:, :1].mean(dim=(2, 3)).clamp(min=1e-3)
        return torch.log(shares + 1e-3)


class ImageSetClassifier(nn.Module):
    """Two experts: one sees how much of the body has which value, one sees shapes.

    Each image set is a bag of slices. The first looks at the mean and the maximum over slices of each area fraction;
    the second at the mean over slices of each feature's mean (what is everywhere) and peak (what is in one place).
    """

    def __init__(self, hounsfield: bool, dropout: float) -> None:
        super().__init__()
        windows = torch.tensor(HOUNSFIELD_WINDOWS if hounsfield else RELATIVE_WINDOWS)
        edges = HOUNSFIELD_EDGES if hounsfield else RELATIVE_EDGES
        self.lower = nn.Buffer(windows[:, 0].view(1, -1, 1, 1))
        self.span = nn.Buffer((windows[:, 1] - windows[:, 0]).view(1, -1, 1, 1))
        self.fractions = AreaFractions(edges)
        features = 2 * (len(edges) - 1)
        self.feature_mean = nn.Buffer(torch.zeros(features))
        self.feature_scale = nn.Buffer(torch.ones(features))
        self.value_head = nn.Linear(features, 1)
        self.shapes = nn.Sequential(*_blocks(len(windows)))
        self.shape_head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * _CHANNELS[-1], 1))

    def forward(self, slices: Tensor, sizes: list[int]) -> Tensor:
        """Logits (image set, expert) for the slices (slice, row, column) of image sets of ``sizes`` slices each."""
        values = (self.value_features(slices, sizes) - self.feature_mean) / self.feature_scale
        windowed = ((slices.unsqueeze(1) - self.lower) / self.span).clamp(0.0, 1.0)
        maps = self.shapes(windowed)
        slice_features = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        bags = [own.mean(dim=0) for own in torch.split(slice_features, sizes)]
        return torch.cat([self.value_head(values), self.shape_head(torch.stack(bags))], dim=1)

    @torch.jit.export
    def value_features(self, slices: Tensor, sizes: list[int]) -> Tensor:
        """Area fractions of image sets (image set, 2 x bin), not standardised."""
        fractions = self.fractions(slices)
        bags = [torch.cat([own.mean(dim=0), own.amax(dim=0)]) for own in torch.split(fractions, sizes)]
        return torch.stack(bags)

    def standardise(self, features: Tensor) -> None:
        """Fix mean and scale of the area fractions from those of the training image sets."""
        self.feature_mean.copy_(features.mean(dim=0))
        self.feature_scale.copy_(features.std(dim=0, correction=0).clamp(min=0.05))


class Ensemble(nn.Module):
    """Members that are trained side by side; their logits are averaged.

    ``experts`` are the weights of the two experts' logits, which training chooses among EXPERT_CHOICES.
    """

    def __init__(self, members: int, hounsfield: bool, dropout: float) -> None:
        super().__init__()
        self.experts = nn.Buffer(torch.ones(2))
        self.members = nn.ModuleList(ImageSetClassifier(hounsfield, dropout) for _ in range(members))

    def classifiers(self) -> list[ImageSetClassifier]:
        """The members, typed."""
        return [member for member in self.members if isinstance(member, ImageSetClassifier)]

    def forward(self, slices: Tensor, sizes: list[int]) -> Tensor:
        """Logits (image set,)."""
        return torch.stack([member(slices, sizes) @ self.experts for member in self.members]).mean(dim=0)


def _blocks(channels: int) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for out_channels, strides in zip(_CHANNELS, _STRIDES, strict=True):
        blocks.append(Convolution(2, channels, out_channels, strides=strides, act="RELU", norm="BATCH"))
        channels = out_channels
    return blocks
