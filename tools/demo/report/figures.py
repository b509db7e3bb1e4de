"""The report's charts, as SVG text that is set into the page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INK, MUTED, GRID = "#1c2733", "#6b7a8c", "#e3e8ee"
BLUE, TEAL, AMBER, RED, VIOLET = "#2563eb", "#0d9488", "#d97706", "#dc2626", "#7c3aed"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the timeline: seconds since the first event; ``lane`` names its row."""

    lane: str
    start: float
    end: float
    colour: str
    label: str = ""


def learning_curves(curves: Sequence[Mapping[str, Any]]) -> str:
    """Loss (training, validation) and validation ROC-AUC by epoch; ``curves`` has one mapping an epoch."""
    figure, axes = _axes(6.2, 3.3)
    epochs = [row["epoch"] for row in curves]
    for key, colour, label in (("train_loss", BLUE, "training loss"), ("validation_loss", AMBER, "validation loss")):
        axes.plot(epochs, [row[key] for row in curves], color=colour, linewidth=2, label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.set_ylim(bottom=0)
    right = axes.twinx()
    values = [row.get("validation_roc_auc") for row in curves]
    right.plot(epochs, values, color=TEAL, linewidth=2, linestyle="--", label="validation ROC-AUC")
    right.set_ylim(0, 1.03)
    right.set_ylabel("ROC-AUC", color=MUTED)
    right.tick_params(colors=MUTED)
    for side in ("top", "left", "bottom", "right"):
        right.spines[side].set_visible(False)
    handles = [*axes.get_lines(), *right.get_lines()]
    axes.legend(
        handles,
        [h.get_label() for h in handles],
        frameon=False,
        fontsize=8.5,
        loc="upper center",
        bbox_to_anchor=(0.5, 1.14),
        ncols=3,
    )
    return _svg(figure)


def roc(false_positive_rates: Sequence[float], true_positive_rates: Sequence[float], title: str) -> str:
    """The ROC curve on held-out patients; rates are fractions."""
    figure, axes = _axes(3.6, 3.3)
    axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.5)
    axes.fill_between(false_positive_rates, true_positive_rates, color=BLUE, alpha=0.10, linewidth=0)
    axes.plot(false_positive_rates, true_positive_rates, color=BLUE, linewidth=2.2)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04), xlabel="false positive rate", ylabel="true positive rate")
    axes.set_aspect("equal")
    axes.set_title(title, fontsize=9.5, color=INK)
    return _svg(figure)


def confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> str:
    """Confusion matrix: rows are what is true, columns what was predicted."""
    figure, axes = _axes(3.4, 3.3)
    axes.grid(visible=False)
    largest = max(1, *(count for row in matrix for count in row))
    axes.imshow(matrix, cmap="Blues", vmin=0, vmax=largest * 1.25)
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            colour = "white" if count > largest * 0.7 else INK
            axes.text(column, row, str(count), ha="center", va="center", fontsize=17, color=colour)
    axes.set_xticks(range(len(class_names)), class_names)
    axes.set_yticks(range(len(class_names)), class_names, rotation=90, va="center")
    axes.set(xlabel="predicted", ylabel="true")
    return _svg(figure)


def timeline(bars: Sequence[Bar]) -> str:
    """Every association, import job, execution and decision on one time axis in seconds.

    Bars of one lane that overlap in time are drawn in rows of their own, so that what ran side by side is seen.
    """
    lanes = list(dict.fromkeys(bar.lane for bar in bars))
    rows = {lane: _rows([bar for bar in bars if bar.lane == lane]) for lane in lanes}
    heights = {lane: max(1.0, 0.22 * len(rows[lane])) for lane in lanes}
    figure, axes = _axes(11.2, 0.9 + 0.40 * sum(heights.values()))
    last = max(bar.end for bar in bars)
    top = sum(heights.values())
    ticks = []
    for lane in lanes:
        height = heights[lane]
        ticks.append(top - height / 2)
        for index, row in enumerate(rows[lane]):
            step = height * 0.86 / len(rows[lane])
            y = top - height * 0.07 - step * (index + 0.5)
            for bar in row:
                width = max(bar.end - bar.start, last * 0.0025)
                axes.barh(y, width, left=bar.start, height=step * 0.78, color=bar.colour, alpha=0.85, linewidth=0)
                if bar.label:
                    axes.text(bar.start + width + last * 0.004, y, bar.label, va="center", fontsize=7.5, color=INK)
        top -= height
    axes.set_yticks(ticks, lanes)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, last * 1.08)
    axes.set_ylim(0, sum(heights.values()))
    axes.set_xlabel("seconds since the first association")
    return _svg(figure)


def _rows(bars: Sequence[Bar]) -> list[list[Bar]]:
    rows: list[list[Bar]] = []
    for bar in sorted(bars, key=lambda bar: bar.start):
        free = next((row for row in rows if row[-1].end <= bar.start), None)
        if free is None:
            rows.append([bar])
        else:
            free.append(bar)
    return rows


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelsize=8.5, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(GRID)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    return figure, axes


def _svg(figure: Any) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
