"""From modality values of any size to what the network takes. Plain PyTorch, scripted into the exported model."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

AIR_HU = -1024.0
MAXIMUM_HU = 3071.0  # of 12 stored bits with the usual intercept of -1024


def to_square(
    slices: Tensor, size: int, hounsfield: bool, lowest: float = AIR_HU, highest: float = MAXIMUM_HU
) -> Tensor:
    """Pad (slice, row, column) to a square with the darkest value, resize by area, and fix the scale of values.

    Area averaging is also what takes the noise out of large matrices. HU stay HU, clipped to [``lowest``,
    ``highest``]; other values become 0 ... 1 between the 0.5th and 99.5th percentile of the image set.
    """
    rows, columns = int(slices.shape[-2]), int(slices.shape[-1])
    side = max(rows, columns)
    if hounsfield:
        slices = slices.clamp(lowest, highest)
    darkest = float(slices.min())
    left, top = (side - columns) // 2, (side - rows) // 2
    padded = functional.pad(slices, [left, side - columns - left, top, side - rows - top], value=darkest)
    resized = functional.interpolate(padded.unsqueeze(1), size=[size, size], mode="area").squeeze(1)
    if hounsfield:
        return resized
    sample = resized.flatten()
    low, high = torch.quantile(sample, 0.005), torch.quantile(sample, 0.995)
    return ((resized - low) / (high - low).clamp(min=1e-6)).clamp(0.0, 1.0)
