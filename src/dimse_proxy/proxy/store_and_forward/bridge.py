"""Turns a queued association into a relayed one: the target gets the same request, and from then on all bytes pass.

The SCU has its A-ASSOCIATE-AC already, so the target's own is only compared with it.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from dimse_proxy.proxy.exchange import SessionUser
from dimse_proxy.proxy.ports import SessionPort
from dimse_proxy.proxy.refusals import Aborted
from dimse_proxy.upper_layer.association import Association, Role
from dimse_proxy.upper_layer.events import AssociateAcceptReceived, AssociateRejectReceived, Event, TransportCloses
from dimse_proxy.upper_layer.pdu import AssociateRequest


class Bridge:
    """A session of the tunnel that takes over; implements `exchange.SessionUser` and `ports.SessionPort`."""

    def __init__(
        self,
        request: AssociateRequest,
        accepted: Mapping[int, str],
        user: SessionUser,
        flush: Callable[[], None],
    ) -> None:
        """Hold what comes until the target has accepted.

        Args:
            request: the SCU's, as its filter has left it.
            accepted: transfer syntax of each context that was accepted, by its id.
            user: the SCU's relay.
            flush: publishes what the tunnel has to send.
        """
        self._request: Final = request
        self._accepted: Final = accepted
        self._user: Final = user
        self._flush: Final = flush
        self._loop: Final = asyncio.get_running_loop()
        self._association: Final = Association(Role.REQUESTOR)
        self._session: SessionPort | None = None
        self._held: list[bytes] = []
        self._is_over = False
        self.is_open = False
        """The target has accepted: bytes pass."""

    @property
    def id_text(self) -> str:
        """Of the session, for logs."""
        return "" if self._session is None else self._session.id_text

    def begin(self, session: SessionPort) -> None:
        """Ask for the association through `session`."""
        now = self._loop.time()
        self._session = session
        self._association.send(self._request.raw, now)
        self._association.transport_connected(now)
        for part in self._association.data_to_send():
            session.send_data(part, now)
        self._flush()

    # `ports.SessionPort`, for the SCU's relay.

    @property
    def writable(self) -> bool:
        """More can be taken."""
        return self.is_open and self._session is not None and self._session.writable

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Bytes of the SCU."""
        if not self.is_open:
            self._held.append(bytes(data))
        elif self._session is not None:
            self._session.send_data(data, now)

    def send_end(self, now: float) -> None:
        """The SCU's leg is over."""
        session, self._session, self._is_over = self._session, None, True
        if session is not None:
            session.send_end(now)

    def send_abort(self, detail: Mapping[str, object], now: float) -> None:
        """The SCU's leg was aborted."""
        session, self._session, self._is_over = self._session, None, True
        if session is not None:
            session.send_abort(detail, now)

    def consumed(self, length: int, now: float) -> None:
        """Bytes for the SCU have left."""
        if self.is_open and self._session is not None:
            self._session.consumed(length, now)

    # `exchange.SessionUser`, for the tunnel.

    def session_acknowledged(self) -> None:
        """An instance took the session."""

    def session_received(self, data: bytes | memoryview) -> None:
        """Bytes of the target."""
        if self.is_open:
            self._user.session_received(data)
            return
        now = self._loop.time()
        self._association.receive_data(bytes(data), now)
        if self._session is not None:
            self._session.consumed(len(data), now)
        for event in self._association.events_received():
            self._answered(event)

    def session_ended(self) -> None:
        """The target's leg is over."""
        self._pass_on(self._user.session_ended)

    def session_aborted(self, detail: Mapping[str, object]) -> None:
        """The target's leg was aborted, or there is none."""
        self._session = None
        self._pass_on(lambda: self._user.session_aborted(detail))

    def session_failed(self, code: str, text: str) -> None:
        """The tunnel gave up."""
        self._session = None
        self._pass_on(lambda: self._user.session_failed(code, text))

    def session_writable(self) -> None:
        """There is credit again."""
        if self.is_open:
            self._user.session_writable()

    # Inside.

    def _pass_on(self, news: Callable[[], None]) -> None:
        if not self._is_over:
            news()

    def _answered(self, event: Event) -> None:
        match event:
            case AssociateAcceptReceived():
                found = {number: one.transfer_syntax for number, one in self._association.accepted_contexts.items()}
                differing = sum(found.get(number) != transfer for number, transfer in self._accepted.items())
                if differing:
                    self._refuse(f"the target accepts {differing} contexts otherwise than they were accepted for it")
                    return
                self._open()
            case AssociateRejectReceived(reject=reject):
                self._refuse(f"the target rejected it ({reject.result}, {reject.source}, {reject.reason})")
            case TransportCloses():
                pass
            case _:
                self._refuse(f"no association with the target: {type(event).__name__}")

    def _open(self) -> None:
        self.is_open = True
        held, self._held = self._held, []
        for data in held:
            self.send_data(data, self._loop.time())
        if self.writable:
            self._user.session_writable()

    def _refuse(self, text: str) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.send_abort(Aborted(text=text).detail(), self._loop.time())
        if not self._is_over:
            self._is_over = True
            self._user.session_aborted(Aborted(text=text).detail())
