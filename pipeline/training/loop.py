"""Trains and validates, epoch by epoch. No paths, no environment.

Every epoch starts its random numbers from (seed, epoch), so that a training that was interrupted and resumed ends with
the same weights as one that was not.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.metrics import log_loss, roc_auc
from pipeline.training.config import TrainingConfig
from pipeline.training.data import Augmentation, TrainingData, collate, draw_batches
from pipeline.training.folds import Fold, build_folds
from pipeline.training.network import EXPERT_CHOICES, Ensemble


@dataclass(frozen=True, slots=True)
class EpochResult:
    """Losses are mean log losses in nats; those of validation are of the ``experts`` that were best at this epoch.

    ``validation_roc_auc`` is None where one class only was held out.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    validation_roc_auc: float | None
    experts: str


@dataclass(frozen=True, slots=True)
class Trained:
    """The ensemble at its best epoch, and every epoch's figures."""

    network: Ensemble
    epochs: tuple[EpochResult, ...]
    best_epoch: int


Save = Callable[[dict[str, Any]], None]
Report = Callable[[EpochResult], None]


def train(
    data: TrainingData,
    config: TrainingConfig,
    device: torch.device,
    *,
    resume_from: dict[str, Any] | None = None,
    save: Save,
    report: Report,
) -> Trained:
    """Train until ``epochs`` or ``patience`` is used up; ``save`` is called after each epoch, then ``report``."""
    torch.manual_seed(config.seed)
    network = _build(data, config).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    results: list[EpochResult] = []
    best: dict[str, Tensor] = copy.deepcopy(network.state_dict())
    if resume_from is not None:
        network.load_state_dict(resume_from["network"])
        optimiser.load_state_dict(resume_from["optimiser"])
        best = resume_from["best"]
        results = [EpochResult(**result) for result in resume_from["results"]]
    augmentation = Augmentation(data.intensity)
    folds = build_folds(data, config.members)
    while len(results) < config.epochs and not _is_exhausted(results, config.patience):
        epoch = len(results) + 1
        train_loss = _train_epoch(network, optimiser, folds, augmentation, config, epoch, device)
        results.append(_validate(network, folds, device, epoch, train_loss))
        if best_epoch(results) == epoch:
            network.experts.copy_(torch.tensor(EXPERT_CHOICES[results[-1].experts]))
            best = copy.deepcopy(network.state_dict())
        save(
            {
                "network": network.state_dict(),
                "optimiser": optimiser.state_dict(),
                "best": best,
                "results": [asdict(result) for result in results],
            }
        )
        report(results[-1])
    network.load_state_dict(best)
    return Trained(network.eval().cpu(), tuple(results), best_epoch(results))


def best_epoch(results: Sequence[EpochResult]) -> int:
    """1-based epoch with the lowest validation loss, the earliest of equals."""
    return min(results, key=lambda result: (result.validation_loss, result.epoch)).epoch


def _build(data: TrainingData, config: TrainingConfig) -> Ensemble:
    network = Ensemble(config.members, data.intensity == "hounsfield", config.dropout)
    with torch.no_grad():
        for member, fold in zip(network.classifiers(), build_folds(data, config.members), strict=True):
            member.standardise(member.value_features(*collate([sample.slices for sample in fold.train])))
    return network


def _is_exhausted(results: Sequence[EpochResult], patience: int) -> bool:
    return bool(results) and len(results) - best_epoch(results) >= patience


def _train_epoch(
    network: Ensemble,
    optimiser: torch.optim.Optimizer,
    folds: Sequence[Fold],
    augmentation: Augmentation,
    config: TrainingConfig,
    epoch: int,
    device: torch.device,
) -> float:
    """One epoch; the mean loss of the experts' summed logits, on augmented images and with dropout."""
    seed = config.seed + 7919 * epoch  # a prime apart, so that seeds of neighbouring trainings do not meet
    torch.manual_seed(seed)
    augmentation.seed(seed % 2**32)
    generator = torch.Generator().manual_seed(seed)
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * (0.05 + 0.475 * (1 + math.cos(math.pi * (epoch - 1) / config.epochs)))
    network.train()
    losses: list[float] = []
    steps = max(config.minimum_steps, math.ceil(max(len(fold.train) for fold in folds) / config.batch_size))
    draws = [draw_batches([s.label for s in fold.train], steps, config.batch_size, generator) for fold in folds]
    for batches in zip(*draws, strict=True):
        optimiser.zero_grad(set_to_none=True)
        for member, fold, batch in zip(network.classifiers(), folds, batches, strict=True):
            slices, sizes = collate(
                [augmentation(fold.train[i].slices, config.slices_per_draw, generator) for i in batch]
            )
            targets = torch.tensor([float(fold.train[i].label) for i in batch], device=device)
            with _mixed_precision(device):
                logits = member(slices.to(device), sizes).float()
            loss, joint = _losses(logits, targets)
            torch.autograd.backward(loss)
            losses.append(float(joint.detach()))
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
    return sum(losses) / len(losses)


def _losses(expert_logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss to descend (each expert's own, and that of their sum), and the sum's alone."""
    joint = functional.binary_cross_entropy_with_logits(expert_logits.sum(dim=1), targets)
    own = functional.binary_cross_entropy_with_logits(expert_logits, targets.unsqueeze(1).expand_as(expert_logits))
    return joint + own, joint


@torch.no_grad()
def _validate(
    network: Ensemble, folds: Sequence[Fold], device: torch.device, epoch: int, train_loss: float
) -> EpochResult:
    """Every member on the patients that it was not trained on; the choice of experts with the lowest loss."""
    network.eval()
    logits, labels = [], []
    for member, fold in zip(network.classifiers(), folds, strict=True):
        for sample in fold.held_out:
            logits.append(member(sample.slices.to(device), [len(sample.slices)])[0].float().cpu())
            labels.append(sample.label)
    truth = np.array(labels, np.int64)
    results = []
    for name, weights in EXPERT_CHOICES.items():
        scores = torch.sigmoid(torch.stack(logits) @ torch.tensor(weights)).double().numpy()
        results.append(EpochResult(epoch, train_loss, log_loss(truth, scores), roc_auc(truth, scores), name))
    return min(results, key=lambda result: result.validation_loss)


def _mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where the GPU has it: no loss scaling needed. Float32 elsewhere."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
