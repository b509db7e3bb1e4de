"""Entry point of the Storage SCP: settings -> sink -> handlers -> server -> signals."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
import time

from ahiflow import aws
from ahiflow.errors import ConfigurationError
from ahiflow.settings import StoreScpSettings
from storescp.batches import Association, AssociationBatches, BatchLimits
from storescp.handlers import Handlers
from storescp.manifests import ManifestWriter
from storescp.recovery import Recovery
from storescp.server import StorageScp
from storescp.sink import S3Sink
from storescp.telemetry import start_logging

_SWEEP_SECONDS = 1.0
_MANIFEST_SHARE = 0.2  # of the stop time-out is kept for the manifests of what had to be aborted


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code is 1 when something could not be brought to its end."""
    log = start_logging()
    try:
        settings = StoreScpSettings.from_environ(os.environ)
    except ConfigurationError as error:
        log.error("not started", reason=str(error))
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    s3 = aws.client("s3", max_connections=settings.maximum_associations + 2, attempts=3, timeout_seconds=20)
    sink = S3Sink(s3, settings.ingest_bucket_name)
    writer = ManifestWriter(sink, log)
    receiver, process = f"{socket.gethostname()}:{settings.dicom_port}", secrets.token_hex(8)

    def new_batches(association: Association) -> AssociationBatches:
        return AssociationBatches(association, sink, writer.write, BatchLimits())

    handlers = Handlers(new_batches, receiver, process, log)
    try:
        scp = StorageScp(settings, handlers)
    except OSError as error:
        log.error("not started", reason=f"cannot listen on port {settings.dicom_port}: {error.strerror}")
        return 2
    recovery = Recovery(sink, writer.write, receiver, process, log)
    recovery.start()
    log.info("listening", host=settings.dicom_host, port=scp.port, called_ae_title=settings.called_ae_title)
    while not stop.wait(_SWEEP_SECONDS):
        handlers.sweep()

    deadline = time.monotonic() + settings.stop_timeout_seconds
    log.info("stopping", associations=scp.associations())
    recovery.stop()
    aborted = scp.drain(deadline - settings.stop_timeout_seconds * _MANIFEST_SHARE)
    handlers.sweep()
    unwritten = writer.stop(deadline)
    log.info("stopped", associations_aborted=aborted, manifests_unwritten=unwritten)
    return 1 if unwritten else 0


if __name__ == "__main__":
    sys.exit(main())
