"""Asks the target what it accepts: an association of our own through the tunnel, released as soon as it is there."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from dimse_proxy.proxy.exchange import SessionUser
from dimse_proxy.proxy.ports import SessionPort
from dimse_proxy.proxy.refusals import Aborted
from dimse_proxy.upper_layer.association import Association, Role
from dimse_proxy.upper_layer.codec import encode_associate_request, encode_release_request
from dimse_proxy.upper_layer.events import (
    AssociateAcceptReceived,
    AssociateRejectReceived,
    ReleaseResponseReceived,
    TransportCloses,
)
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest

OpenSession: TypeAlias = Callable[[Mapping[str, str], SessionUser], SessionPort]
"""Opens a session to the other side, of whose fate the user is told."""

RELEASE_TIMEOUT: Final = 5.0
"""Seconds for the A-RELEASE-RP; nobody waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The target accepted the association, if not all of its contexts."""

    accept: AssociateAccept


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsked:
    """There is no association, and why: in the form in which a relayed one would have been refused."""

    text: str
    reject: bytes = b""
    """The target's A-ASSOCIATE-RJ."""
    detail: Mapping[str, object] | None = None
    """What the other side's proxy said."""
    code: str = ""
    """What the tunnel said."""


class Probe:
    """One question; implements `exchange.SessionUser`."""

    def __init__(self, request: AssociateRequest, flush: Callable[[], None]) -> None:
        """Prepare the question: the contexts of `request`, under its AE titles.

        Args:
            request: whose contexts and AE titles the question has.
            flush: publishes what the tunnel has to send.
        """
        self._flush: Final = flush
        self._loop: Final = asyncio.get_running_loop()
        self._association: Final = Association(Role.REQUESTOR)
        self._answer: Final[asyncio.Future[Asked | NotAsked]] = self._loop.create_future()
        self._session: SessionPort | None = None
        raw = encode_associate_request(
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            presentation_contexts=request.presentation_contexts,
            user_information=own_user_information(),
        )
        self._association.send(raw, self._loop.time())
        self._association.transport_connected(self._loop.time())

    async def ask(
        self,
        open_session: OpenSession,
        info: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - no answer is an answer
    ) -> Asked | NotAsked:
        """Ask, and return the answer."""
        self._session = open_session(info, self)
        self._send()
        try:
            async with asyncio.timeout(timeout):
                return await self._answer
        except TimeoutError:
            return NotAsked(text=f"no answer within {timeout:g} s")
        finally:
            if not self._answer.done() or self._answer.cancelled():
                self._give_up()

    def _send(self) -> None:
        if self._session is not None:
            for part in self._association.data_to_send():
                self._session.send_data(part, self._loop.time())
            self._flush()

    def _give_up(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.send_abort(Aborted(text="given up").detail(), self._loop.time())
            self._flush()

    def _set(self, answer: Asked | NotAsked) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)

    # `exchange.SessionUser`

    def session_acknowledged(self) -> None:
        """An instance took the session."""

    def session_received(self, data: bytes | memoryview) -> None:
        """Bytes of the target's answer."""
        now = self._loop.time()
        self._association.receive_data(bytes(data), now)
        if self._session is not None:
            self._session.consumed(len(data), now)
        for event in self._association.events_received():
            match event:
                case AssociateAcceptReceived(accept=accept):
                    self._set(Asked(accept=accept))
                    self._association.send(encode_release_request(), now)
                    self._loop.call_later(RELEASE_TIMEOUT, self._give_up)
                case AssociateRejectReceived(reject=reject):
                    text = f"the target rejected it ({reject.result}, {reject.source}, {reject.reason})"
                    self._set(NotAsked(text=text, reject=reject.raw))
                case ReleaseResponseReceived():
                    session, self._session = self._session, None
                    if session is not None:
                        session.send_end(now)
                case TransportCloses():
                    pass
                case _:
                    self._set(NotAsked(text=f"no association: {type(event).__name__}"))
        self._send()

    def session_ended(self) -> None:
        """All has been received."""
        self._session = None
        self._set(NotAsked(text="the session ended without an answer"))

    def session_aborted(self, detail: Mapping[str, object]) -> None:
        """The other side cannot, or the target aborted."""
        self._session = None
        self._set(NotAsked(text=str(detail.get("text", "aborted")), detail=detail))

    def session_failed(self, code: str, text: str) -> None:
        """The tunnel gave up."""
        self._session = None
        self._set(NotAsked(text=text or code, code=code))

    def session_writable(self) -> None:
        """A request never fills a window."""
