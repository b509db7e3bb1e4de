"""A switchboard for tests: fail an operation, or a pipeline step, the way AWS fails."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from localcloud.sagemaker.errors import ServiceError, StepFailedError


@dataclass(slots=True)
class _Fault:
    code: str
    message: str
    status: int
    times: int


class Faults:
    """Armed faults go off in the order of calls, each ``times`` times; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: dict[str, _Fault] = {}
        self._steps: dict[str, _Fault] = {}

    def fail_operation(
        self, operation: str, code: str = "ThrottlingException", *, status: int = 400, times: int = 1
    ) -> None:
        """Answer the next calls of ``operation`` with the error ``code``."""
        with self._lock:
            self._operations[operation] = _Fault(code, "Rate exceeded", status, times)

    def fail_step(self, step_name: str, reason: str, *, times: int = 1) -> None:
        """Fail the next starts of the step ``step_name``, of any execution, before it does anything."""
        with self._lock:
            self._steps[step_name] = _Fault("", reason, 0, times)

    def clear(self) -> None:
        """Disarm everything."""
        with self._lock:
            self._operations.clear()
            self._steps.clear()

    def before_operation(self, operation: str) -> None:
        """Raise the armed ServiceError, if any."""
        fault = self._take(self._operations, operation)
        if fault:
            raise ServiceError(fault.code, fault.message, fault.status)

    def before_step(self, step_name: str) -> None:
        """Raise the armed StepFailedError, if any."""
        fault = self._take(self._steps, step_name)
        if fault:
            raise StepFailedError(fault.message)

    def _take(self, table: dict[str, _Fault], name: str) -> _Fault | None:
        with self._lock:
            fault = table.get(name)
            if fault is None:
                return None
            fault.times -= 1
            if fault.times <= 0:
                del table[name]
            return fault
