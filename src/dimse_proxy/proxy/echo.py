"""A C-ECHO from this side to the far target, made by the proxy itself: is the way open, and how long is each hop?

It is a peer of its own on the channel that never takes an open, so it can run beside a running proxy.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.services import echo_request
from dimse_proxy.dimse.status import status_name
from dimse_proxy.errors import TransportError
from dimse_proxy.proxy.exchange import Exchange
from dimse_proxy.proxy.refusals import Refused, parse_detail, tunnel_cause
from dimse_proxy.transports.nats_link import NatsLink, NatsOptions
from dimse_proxy.tunnel.session import Session
from dimse_proxy.tunnel.tunnel import Tunnel
from dimse_proxy.upper_layer.ae_title import ae_title_to_bytes
from dimse_proxy.upper_layer.association import Association, Role
from dimse_proxy.upper_layer.codec import encode_associate_request, encode_release_request
from dimse_proxy.upper_layer.events import (
    AbortReceived,
    AssociateAcceptReceived,
    AssociateRejectReceived,
    CommandFragment,
    Event,
    PDataReceived,
    ReleaseResponseReceived,
)
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.negotiation import maximum_length
from dimse_proxy.upper_layer.pdu import ProposedContext

VERIFICATION: Final = "1.2.840.10008.1.1"
IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
CONTEXT_ID: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of the way that was gone."""

    name: str
    seconds: float
    detail: str = ""


class EchoError(TransportError):
    """The way is not open; the message says where it ends."""


class EchoProbe:
    """One C-ECHO through the tunnel; implements `exchange.SessionUser` and `exchange.PeerObserver`."""

    def __init__(self, *, tunnel: Tunnel, options: NatsOptions, called: str, calling: str, timeout: float) -> None:
        self.hops: Final[list[Hop]] = []
        self._tunnel: Final = tunnel
        self._options: Final = options
        self._called: Final = called
        self._calling: Final = calling
        self._timeout: Final = timeout
        self._association: Final = Association(Role.REQUESTOR)
        self._events: Final[asyncio.Queue[Event | EchoError]] = asyncio.Queue()
        self._connected: Final = asyncio.Event()
        self._appeared: Final = asyncio.Event()
        self._acknowledged: Final = asyncio.Event()
        self._nats_error = ""
        self._server = ""
        self._peer = ""
        self._peer_refused = ""
        self._channel = ""
        self._session: Session | None = None
        self._exchange: Exchange | None = None

    async def run(self, channel: str) -> None:
        """Goes the whole way; `hops` holds what was reached, also after an `EchoError`."""
        loop = asyncio.get_running_loop()
        self._channel = channel
        exchange = Exchange(self._tunnel, loop=loop, session_opened=self._unexpected, observer=self)
        self._exchange = exchange
        link = NatsLink(self._options, self._tunnel.subscriptions(), exchange)
        exchange.attach(link)
        linked = loop.create_task(link.run())
        try:
            await self._go(channel, link, exchange)
        finally:
            exchange.tunnel.go_away(loop.time())
            exchange.flush()
            await link.flush(1.0)
            linked.cancel()
            await asyncio.gather(linked, return_exceptions=True)
            exchange.close()

    async def _go(self, channel: str, link: NatsLink, exchange: Exchange) -> None:
        started = perf_counter()
        try:
            await asyncio.wait_for(self._connected.wait(), self._timeout)
        except TimeoutError:
            servers = ", ".join(self._options.servers)
            raise EchoError(f"NATS cannot be reached at {servers}: {self._nats_error or 'no answer'}") from None
        self._hop("NATS connection", started, self._server)
        self.hops.append(Hop(name="NATS round trip", seconds=await link.rtt(), detail=self._server))
        started = perf_counter()
        try:
            await asyncio.wait_for(self._appeared.wait(), min(self._timeout, 6.0))
        except TimeoutError:
            raise EchoError(self._peer_refused or f"no proxy is present on channel {channel}") from None
        self._hop("peer found", started, self._peer)
        await self._associate(channel, exchange)
        await self._echo()

    async def _associate(self, channel: str, exchange: Exchange) -> None:
        loop = asyncio.get_running_loop()
        started = perf_counter()
        info = {"called": self._called, "calling": self._calling, "peer": "dimse-proxy echo"}
        self._session = exchange.open_session(channel, info, self)
        request = encode_associate_request(
            called_ae_title=ae_title_to_bytes(self._called),
            calling_ae_title=ae_title_to_bytes(self._calling),
            presentation_contexts=[
                ProposedContext(
                    context_id=CONTEXT_ID,
                    abstract_syntax=VERIFICATION,
                    transfer_syntaxes=(IMPLICIT_VR_LITTLE_ENDIAN,),
                )
            ],
            user_information=own_user_information(),
        )
        self._association.send(request, loop.time())
        self._association.transport_connected(loop.time())
        self._send()
        acknowledged = loop.create_task(self._acknowledged.wait())
        answer = loop.create_task(self._next())
        await asyncio.wait({acknowledged, answer}, return_when=asyncio.FIRST_COMPLETED)
        if acknowledged.done():
            self._hop("peer proxy", started, self._peer)
        acknowledged.cancel()
        event = await answer
        match event:
            case AssociateAcceptReceived() if CONTEXT_ID in self._association.accepted_contexts:
                self._hop("association with the target", started)
            case AssociateAcceptReceived():
                raise EchoError("the target accepts associations, but not Verification")
            case AssociateRejectReceived(reject=reject):
                raise EchoError(
                    f"the target rejected the association:"
                    f" result {reject.result}, source {reject.source}, reason {reject.reason}"
                )
            case _:
                raise EchoError(f"no association: {type(event).__name__}")

    async def _echo(self) -> None:
        loop = asyncio.get_running_loop()
        started = perf_counter()
        accept = self._association.accept
        longest = 0 if accept is None else maximum_length(accept.user_information)
        self._association.send_p_data(echo_request(CONTEXT_ID, 1, longest), loop.time())
        self._send()
        command = b""
        while True:
            match await self._next():
                case PDataReceived(marks=marks):
                    fragments = [mark for mark in marks if isinstance(mark, CommandFragment)]
                    command += b"".join(fragment.data for fragment in fragments)
                    if any(fragment.is_last for fragment in fragments):
                        break
                case AbortReceived(abort=abort):
                    raise EchoError(f"aborted: source {abort.source}, reason {abort.reason}")
                case event:
                    raise EchoError(f"no C-ECHO-RSP: {type(event).__name__}")
        status = CommandSet.decode(command).status
        if status is None or status != 0:
            raise EchoError(f"the target answered C-ECHO with status {status or 0:04X}H")
        self._hop("C-ECHO", started, f"{status:04X}H {status_name(status)}")
        started = perf_counter()
        self._association.send(encode_release_request(), loop.time())
        self._send()
        while not isinstance(await self._next(), ReleaseResponseReceived):
            pass
        self._hop("release", started)
        if self._session is not None:
            self._session.send_end(loop.time())

    def _hop(self, name: str, started: float, detail: str = "") -> None:
        self.hops.append(Hop(name=name, seconds=perf_counter() - started, detail=detail))

    async def _next(self) -> Event:
        """The next event; raises what ended the way."""
        try:
            event = await asyncio.wait_for(self._events.get(), self._timeout)
        except TimeoutError:
            raise EchoError(f"no answer within {self._timeout:g} s") from None
        if isinstance(event, EchoError):
            raise event
        return event

    def _send(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._session is not None:
            for part in self._association.data_to_send():
                self._session.send_data(part, now)
        if self._exchange is not None:
            self._exchange.flush()

    def _unexpected(self, _session: Session) -> "EchoProbe":
        raise EchoError("another proxy opened a session to this command")

    # `exchange.SessionUser`

    def session_acknowledged(self) -> None:
        """The peer took the session."""
        self._acknowledged.set()

    def session_received(self, data: bytes | memoryview) -> None:
        """Bytes of the target's answer."""
        now = asyncio.get_running_loop().time()
        self._association.receive_data(bytes(data), now)
        if self._session is not None:
            self._session.consumed(len(data), now)
        for event in self._association.events_received():
            self._events.put_nowait(event)

    def session_ended(self) -> None:
        """All has been received."""

    def session_aborted(self, detail: Mapping[str, object]) -> None:
        """The other side cannot, or the target aborted."""
        match parse_detail(detail):
            case Refused(code=code, text=text):
                self._events.put_nowait(EchoError(f"the other side: {text} ({code})"))
            case aborted:
                self._events.put_nowait(EchoError(aborted.text or f"aborted, reason {aborted.reason}"))

    def session_failed(self, code: str, text: str) -> None:
        """The tunnel gave up."""
        self._events.put_nowait(EchoError(f"the tunnel: {text} ({code})"))

    def session_writable(self) -> None:
        """A C-ECHO never fills a window."""

    # `exchange.PeerObserver`

    def peer_appeared(self, channel: str, instance: str, version: str) -> None:
        """A proxy is on the other side."""
        if channel != self._channel:
            return
        self._peer = f"channel {channel}, instance {instance}, version {version}"
        self._appeared.set()

    def peer_lost(self, channel: str, instance: str, code: str) -> None:
        """The session says so if it was ours."""

    def peer_refused(self, channel: str, instance: str, code: str) -> None:
        """Kept for the sentence that says why nobody is there."""
        if channel == self._channel:
            self._peer_refused = tunnel_cause(code, channel, "")

    def nats_connected(self, server: str, _max_payload: int) -> None:
        """NATS is there."""
        self._server = server
        self._connected.set()

    def nats_disconnected(self, reason: str) -> None:
        """Kept for the sentence that says why it failed."""
        self._nats_error = reason

    def nats_error(self, text: str, _fatal: bool) -> None:
        """Kept for the sentence that says why it failed."""
        self._nats_error = text
