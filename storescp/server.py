"""The DICOM side: what is accepted, the limits, and an orderly stop."""

from __future__ import annotations

import socketserver
import threading
import time
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from ahiflow.settings import StoreScpSettings
from storescp.handlers import Handlers

_REQUEST_SECONDS = 10.0  # a connection that sends no A-ASSOCIATE-RQ holds its slot no longer (ARTIM, PS3.8 §9.1.4)
_POLL_SECONDS = 0.1


class _Server(ThreadedAssociationServer):
    request_queue_size = 128  # pynetdicom's 5 makes 64 senders that start together wait for seconds
    daemon_threads = True

    def stop_listening(self) -> None:
        socketserver.BaseServer.shutdown(self)
        self.server_close()


class StorageScp:
    """A Storage and Verification SCP (PS3.4 Annexes A and B) that is running once built.

    Accepts every storage SOP class, unknown and private ones included, and the first transfer syntax that is proposed
    for it, whichever that is: nothing is decoded here.
    """

    def __init__(self, settings: StoreScpSettings, handlers: Handlers) -> None:
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        _config.LOG_HANDLER_LEVEL = "none"
        _config.LOG_REQUEST_IDENTIFIERS = False
        _config.LOG_RESPONSE_IDENTIFIERS = False
        self._ae = AE(ae_title=settings.called_ae_title)
        self._ae.add_supported_context(Verification)  # C-ECHO; storage needs none in unrestricted mode
        self._ae.maximum_associations = settings.maximum_associations
        self._ae.maximum_pdu_size = settings.maximum_pdu_bytes
        self._ae.network_timeout = settings.idle_timeout_seconds
        self._ae.acse_timeout = _REQUEST_SECONDS
        self._ae.require_called_aet = settings.require_called_ae_title
        bindings: list[Any] = [
            (evt.EVT_CONN_OPEN, handlers.on_connection),
            (evt.EVT_C_STORE, handlers.on_store),
            (evt.EVT_RELEASED, handlers.on_released),
            (evt.EVT_ABORTED, handlers.on_aborted),
        ]
        address = (settings.dicom_host, settings.dicom_port)
        self._server: Any = self._ae.make_server(address, evt_handlers=bindings, server_class=_Server)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), name="listener")
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def associations(self) -> int:
        """How many associations are open."""
        return len(self._server.active_associations)

    def drain(self, deadline: float) -> int:
        """Accept nothing more, let open associations end until the deadline (monotonic), abort the rest.

        Returns how many were aborted.
        """
        self._server.stop_listening()
        self._thread.join()
        while self.associations() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        left = list(self._server.active_associations)
        for association in left:
            association.abort()
        return len(left)
