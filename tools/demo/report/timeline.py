"""The timeline's bars, from the services' own timestamps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tools.demo.evidence import Cloud
from tools.demo.report.figures import AMBER, BLUE, INK, RED, TEAL, VIOLET, Bar
from tools.demo.summary import Evidence

_STEP_COLOURS = {"TrainModel": AMBER, "EvaluateModel": VIOLET, "RegisterModel": INK}


@dataclass(frozen=True, slots=True)
class Milestones:
    """POSIX seconds of what a person did and of what followed; None when it did not happen."""

    approved: float | None
    in_service: float | None


def timeline_bars(cloud: Cloud, evidence: Evidence, milestones: Milestones) -> Sequence[Bar]:
    """Bars in seconds since the first association was opened."""
    zero = min(_seconds(batch["opened_at"]) for batch in evidence.batches)
    bars = [
        Bar("associations", _seconds(batch["opened_at"]) - zero, _seconds(batch["closed_at"]) - zero, BLUE)
        for batch in evidence.batches
    ]
    bars += [
        Bar("import jobs", job["submittedAt"].timestamp() - zero, job["endedAt"].timestamp() - zero, TEAL)
        for job in evidence.import_jobs
        if "endedAt" in job
    ]
    for execution in evidence.executions:
        colour = RED if execution.status == "Failed" else BLUE
        bars.append(Bar("executions", execution.started - zero, (execution.ended or execution.started) - zero, colour))
    if evidence.trained_by:
        for step in cloud.steps(evidence.trained_by.arn):
            if "EndTime" not in step:
                continue
            start, end = step["StartTime"].timestamp() - zero, step["EndTime"].timestamp() - zero
            colour = _STEP_COLOURS.get(step["StepName"], BLUE)
            bars.append(Bar(f"  {step['StepName']}", start, end, colour, f"{end - start:.1f} s"))
    if milestones.approved is not None:
        at = milestones.approved - zero
        bars.append(Bar("approval", at, at, VIOLET, "signed"))
        if milestones.in_service is not None:
            bars.append(Bar("endpoint", at, milestones.in_service - zero, TEAL, "in service"))
    return bars


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()
