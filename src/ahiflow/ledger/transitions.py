"""The ledger's state machines, as tables, and the one rule that reads them.

Events come twice, late, out of order or never (design.md promise 4). So a status only ever moves forward within an
attempt, a higher attempt always wins over a lower one, and what does not move anything is not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

BatchStatus = Literal[
    "closed",  # its manifest was seen; no import job yet
    "unreadable",  # its manifest breaks the schema; nothing can be started
    "nothing-to-import",  # only refusals
    "import-refused",  # StartDICOMImportJob answered that retrying cannot help
    "import-started",
    "imported",  # every instance
    "partly-imported",  # some instances failed
    "import-failed",  # the job failed, or it imported nothing
]
ImportJobStatus = Literal["SUBMITTED", "IN_PROGRESS", "COMPLETED", "FAILED"]  # shape JobStatus
ExecutionStatus = Literal[
    "claimed",  # about to be started by whoever holds the derived token: starting it twice is harmless
    "skipped",  # not a primary image set, and the settings say not to start those
    "refused",  # StartPipelineExecution answered that retrying cannot help; nothing was started
    "Executing",  # from here on shape PipelineExecutionStatus
    "Stopping",
    "Stopped",
    "Failed",
    "Succeeded",
]
DeploymentStatus = Literal[
    "refused",  # the approval's signature does not verify against the artefact
    "deploying",
    "failed",
    "in-service",
    "replaced",  # another model package took its endpoint
    "withdrawn",  # the model package was rejected while it had the endpoint
]

# status -> every status that may follow it within one attempt, directly or with the steps between not seen.
BATCH: Final[Mapping[BatchStatus, frozenset[BatchStatus]]] = {
    "closed": frozenset(
        {
            "unreadable",
            "nothing-to-import",
            "import-refused",
            "import-started",
            "imported",
            "partly-imported",
            "import-failed",
        }
    ),
    "unreadable": frozenset(),
    "nothing-to-import": frozenset(),
    # Nothing was started, so the same attempt may be made again when the cause is gone.
    "import-refused": frozenset({"import-started", "imported", "partly-imported", "import-failed"}),
    "import-started": frozenset({"imported", "partly-imported", "import-failed"}),
    "imported": frozenset(),
    "partly-imported": frozenset(),
    "import-failed": frozenset(),
}
IMPORT_JOB: Final[Mapping[ImportJobStatus, frozenset[ImportJobStatus]]] = {
    "SUBMITTED": frozenset({"IN_PROGRESS", "COMPLETED", "FAILED"}),
    "IN_PROGRESS": frozenset({"COMPLETED", "FAILED"}),
    "COMPLETED": frozenset(),
    "FAILED": frozenset(),
}
EXECUTION: Final[Mapping[ExecutionStatus, frozenset[ExecutionStatus]]] = {
    "claimed": frozenset({"refused", "Executing", "Stopping", "Stopped", "Failed", "Succeeded"}),
    "skipped": frozenset({"claimed", "refused", "Executing", "Stopping", "Stopped", "Failed", "Succeeded"}),
    "refused": frozenset({"Executing", "Stopping", "Stopped", "Failed", "Succeeded"}),
    "Executing": frozenset({"Stopping", "Stopped", "Failed", "Succeeded"}),
    "Stopping": frozenset({"Stopped", "Failed", "Succeeded"}),
    "Stopped": frozenset(),
    "Failed": frozenset(),
    "Succeeded": frozenset(),
}
DEPLOYMENT: Final[Mapping[DeploymentStatus, frozenset[DeploymentStatus]]] = {
    "refused": frozenset({"deploying", "in-service", "failed"}),  # signed properly since
    "deploying": frozenset({"refused", "in-service", "failed", "replaced", "withdrawn"}),
    "failed": frozenset({"deploying", "in-service"}),
    "in-service": frozenset({"failed", "replaced", "withdrawn"}),
    "replaced": frozenset({"deploying", "in-service"}),
    "withdrawn": frozenset({"deploying", "in-service"}),  # approved again
}

# What an execution or a batch cannot leave without a new attempt.
EXECUTION_ENDED: Final[frozenset[ExecutionStatus]] = frozenset({"Stopped", "Failed", "Succeeded"})
EXECUTION_MAY_BE_RESTARTED: Final[frozenset[ExecutionStatus]] = frozenset({"Stopped", "Failed", "refused"})
BATCH_MAY_BE_RESTARTED: Final[frozenset[BatchStatus]] = frozenset(
    {"import-failed", "partly-imported", "import-refused"}
)
IMPORT_JOB_ENDED: Final[frozenset[ImportJobStatus]] = frozenset({"COMPLETED", "FAILED"})


_Status = TypeVar("_Status", bound=str)


def moves(table: Mapping[_Status, frozenset[_Status]], current: tuple[int, _Status], new: tuple[int, _Status]) -> bool:
    """Whether ``(attempt, status)`` moves from ``current`` to ``new``; a duplicate or late event does not."""
    if new[0] != current[0]:
        return new[0] > current[0]
    return new[1] in table[current[1]]
