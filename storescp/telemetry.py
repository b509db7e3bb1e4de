"""What the receiver says of itself: JSON lines and metrics in the embedded metric format, without patient data."""

from __future__ import annotations

import logging
import warnings

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ahiflow.batch import BatchManifest

SERVICE = "storescp"
NAMESPACE = "ahiflow"
METRIC_INSTANCES_STORED = "InstancesStored"
METRIC_INSTANCES_REFUSED = "InstancesRefused"
METRIC_BYTES_STORED = "BytesStored"


class _LibraryErrors(logging.Handler):
    """Says that a library reported an error, and where; never its text, which may quote a data set."""

    def __init__(self, log: Logger) -> None:
        super().__init__(logging.ERROR)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Log the place of the error."""
        what = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else record.levelname
        self._log.error("library error", library=record.name, place=f"{record.funcName}:{record.lineno}", what=what)


def start_logging() -> Logger:
    """Build the process's logger, and keep pynetdicom and pydicom from writing anything of a data set."""
    log = Logger(service=SERVICE)
    warnings.simplefilter("ignore")  # pydicom's warnings quote values
    for name in ("pynetdicom", "pydicom"):
        library = logging.getLogger(name)
        library.propagate = False
        library.setLevel(logging.ERROR)
        library.addHandler(_LibraryErrors(log))
    return log


def count_batch(manifest: BatchManifest) -> None:
    """Emit the counts of a closed batch."""
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=SERVICE)
    metrics.add_metric(METRIC_INSTANCES_STORED, MetricUnit.Count, len(manifest.instances))
    metrics.add_metric(METRIC_INSTANCES_REFUSED, MetricUnit.Count, len(manifest.refusals))
    metrics.add_metric(METRIC_BYTES_STORED, MetricUnit.Bytes, sum(instance.size for instance in manifest.instances))
    metrics.flush_metrics()
