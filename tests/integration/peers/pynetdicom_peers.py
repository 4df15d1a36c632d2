"""pynetdicom as SCP and SCU, in threads of the test's own process, so that a test can hold either in mid-operation.

Only what every service needs is here; what an SCP answers is in the handlers that a test gives it.
"""

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from types import TracebackType
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.transport import ThreadedAssociationServer

from tests.integration.peers import pynetdicom_pause as pynetdicom_pause
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.waiting import LOOPBACK, wait_until

Handlers = Iterable[tuple[Any, ...]]

BOTH_LITTLE_ENDIAN: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)

# Long enough for a busy machine; a peer that never answers fails the test instead of holding it up.
PEER_SECONDS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A SOP class that an SCP supports or an SCU proposes."""

    sop_class: str
    transfer_syntaxes: Sequence[str] = BOTH_LITTLE_ENDIAN
    scu_role: bool | None = None
    scp_role: bool | None = None


def offers(*sop_classes: str, transfer_syntaxes: Sequence[str] = BOTH_LITTLE_ENDIAN) -> list[Offer]:
    return [Offer(sop_class=str(uid), transfer_syntaxes=transfer_syntaxes) for uid in sop_classes]


def offers_for(files: Iterable[DicomFile]) -> list[Offer]:
    """One context for each pair of SOP class and transfer syntax among `files`."""
    pairs = dict.fromkeys((file.sop_class, file.transfer_syntax) for file in files)
    return [Offer(sop_class=sop_class, transfer_syntaxes=(syntax,)) for sop_class, syntax in pairs]


def _send_at_once(event: evt.Event) -> None:
    """TCP_NODELAY, so that no message waits 40 ms for a delayed acknowledgement; it keeps the tests quick."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


AT_ONCE: Final = (evt.EVT_CONN_OPEN, _send_at_once)


class Scp:
    """An AE that accepts associations; leaving the with block ends it."""

    def __init__(
        self,
        port: int,
        supported: Iterable[Offer],
        handlers: Handlers,
        *,
        ae: str = "TARGET",
        associations: int = 256,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._ae: Final = _new_ae(ae)
        self._ae.maximum_associations = associations
        for offer in supported:
            self._ae.add_supported_context(
                offer.sop_class, list(offer.transfer_syntaxes), scu_role=offer.scu_role, scp_role=offer.scp_role
            )
        self._server: Final = self._ae.make_server(
            (LOOPBACK, port),
            evt_handlers=[*handlers, AT_ONCE],
            server_class=ThreadedAssociationServer,
            ssl_context=tls,
        )
        # `start_server` would look for a shutdown only every half second.
        self._thread: Final = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def associations(self) -> list[Association]:
        """Those that are running now."""
        return list(self._server.active_associations)

    def __enter__(self) -> "Scp":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Lets what is just ending end, and aborts the rest."""
        socketserver.BaseServer.shutdown(self._server)
        self._server.server_close()
        self._thread.join()
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not self.associations(), seconds=0.0 if error else 5.0, what="associations to end")
        for association in self.associations():
            association.abort()


def _new_ae(title: str) -> AE:
    ae = AE(ae_title=title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = PEER_SECONDS
    return ae


def request(
    port: int,
    proposed: Iterable[Offer],
    handlers: Handlers = (),
    *,
    calling: str = "ASKER",
    called: str = "TARGET",
    items: Iterable[Any] = (),
    tls: ssl.SSLContext | None = None,
) -> Association:
    """Requests an association and returns it, whatever became of it.

    Args:
        port: of the acceptor.
        proposed: the contexts; a role given in an offer is proposed by role selection.
        handlers: of events on this side.
        calling: AE title.
        called: AE title.
        items: further user information items.
        tls: for TLS.
    """
    ae = _new_ae(calling)
    contexts: list[PresentationContext] = []
    roles: list[SCP_SCU_RoleSelectionNegotiation] = []
    for offer in proposed:
        contexts.append(build_context(offer.sop_class, list(offer.transfer_syntaxes)))
        if offer.scu_role is not None or offer.scp_role is not None:
            roles.append(build_role(offer.sop_class, scu_role=bool(offer.scu_role), scp_role=bool(offer.scp_role)))
    return ae.associate(
        LOOPBACK,
        port,
        contexts=contexts,
        ae_title=called,
        ext_neg=[*roles, *items],
        evt_handlers=[*handlers, AT_ONCE],
        tls_args=None if tls is None else (tls, LOOPBACK),
    )


@contextmanager
def association(
    port: int,
    proposed: Iterable[Offer],
    handlers: Handlers = (),
    *,
    calling: str = "ASKER",
    called: str = "TARGET",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Association]:
    """An association that must be accepted, and is released at the end of the block."""
    assoc = request(port, proposed, handlers, calling=calling, called=called, tls=tls)
    assert assoc.is_established, f"not accepted: {'rejected' if assoc.is_rejected else 'aborted or no answer'}"
    try:
        yield assoc
    except BaseException:
        assoc.abort()
        raise
    assoc.release()
    assert assoc.is_released, "the release was not confirmed"


@contextmanager
def reactor_paused(assoc: Association) -> Iterator[None]:
    """Keeps pynetdicom from taking the next message as a request of the peer's, as its own `send_*` do."""
    assoc._reactor_checkpoint.clear()
    while not assoc._is_paused:
        time.sleep(0.0001)
    try:
        yield
    finally:
        assoc._reactor_checkpoint.set()


def store_raw(assoc: Association, file: DicomFile, *, message_id: int = 1) -> int:
    """C-STORE of the file's data set as the bytes that it is; returns the status.

    pynetdicom's own `send_c_store` may encode the data set anew.
    """
    context = next(
        context
        for context in assoc.accepted_contexts
        if context.abstract_syntax == file.sop_class and context.transfer_syntax[0] == file.transfer_syntax
    )
    assert context.context_id is not None
    message = C_STORE()
    message.MessageID = message_id
    message.Priority = 2
    message.AffectedSOPClassUID = file.sop_class
    message.AffectedSOPInstanceUID = file.sop_instance
    message.DataSet = BytesIO(file.data_set())
    with reactor_paused(assoc):
        assoc.dimse.send_msg(message, context.context_id)
        _, response = assoc.dimse.get_msg(block=True)
    assert isinstance(response, C_STORE), f"answered with {response!r}"
    assert response.Status is not None
    assert response.MessageIDBeingRespondedTo == message_id
    assert response.AffectedSOPInstanceUID == file.sop_instance
    return int(response.Status)


def plain(data_set: Dataset | None) -> object:
    """A data set (also a status) as a value that compares and prints well."""
    return None if data_set is None else data_set.to_json_dict()


Responses = list[tuple[object, object]]


def collected(responses: Iterator[tuple[Dataset, Dataset | None]]) -> Responses:
    """Every (status, identifier) of a C-FIND, C-GET or C-MOVE."""
    return [(plain(status), plain(identifier)) for status, identifier in responses]


def statuses(responses: Responses) -> list[int]:
    """The status codes among them, in order."""
    return [_status_of(status) for status, _ in responses]


def _status_of(status: object) -> int:
    assert isinstance(status, dict)
    return int(status["00000900"]["Value"][0])
