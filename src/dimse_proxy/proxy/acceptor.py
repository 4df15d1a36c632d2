"""The acceptor side's driver: the listener, and a leg for each connection that comes in."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, cast

from dimse_proxy.proxy.acceptor_relay import AcceptorRelay
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.exchange import Exchange, SessionUser
from dimse_proxy.proxy.hooks import AssociationRecord, Observer, Side
from dimse_proxy.proxy.leg import Leg
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.ports import SessionPort
from dimse_proxy.proxy.routes import AskedFor
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.transports.streams import StreamConnection
from dimse_proxy.upper_layer.pdu import AssociateRequest

OpenSession: TypeAlias = Callable[[AskedFor, Mapping[str, str], AssociateRequest, SessionUser], SessionPort]
"""Opens a session for a request of a user who is told what becomes of it: of the tunnel, or what stands in for one."""


class AcceptorLeg(Leg[AcceptorRelay]):
    """One connection that a local association's requestor opened; implements `ports.AcceptorPort`."""

    def __init__(
        self,
        connection: StreamConnection,
        *,
        exchange: Exchange,
        open_session: OpenSession,
        loop: asyncio.AbstractEventLoop,
        set_waiting: Callable[["AcceptorLeg", bool], None],
        over: Callable[["Leg[AcceptorRelay]"], None],
    ) -> None:
        super().__init__(exchange=exchange, loop=loop, over=over)
        self._connection = connection
        self._open_session: Final = open_session
        self._set_waiting: Final = set_waiting

    def set_waiting(self, is_waiting: bool) -> None:
        """Tells the acceptor whether this is a connection without an association."""
        self._set_waiting(self, is_waiting)

    def turn_away(self) -> None:
        """Ends a connection without an association."""
        self._tell(self.relay.turned_away)

    def open_session(
        self, asked: AskedFor, info: Mapping[str, str], request: AssociateRequest, _now: float
    ) -> SessionPort:
        """Opens a session to another channel."""
        self.relay.record.channel = self.relay.record.target = asked.channel
        return self._open_session(asked, info, request, self)


class Acceptor:
    """Makes a leg of every connection that comes in."""

    def __init__(
        self,
        *,
        policy: Policy,
        admission: Admission,
        settings: RelaySettings,
        observer: Observer,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        over: Callable[[Leg[AcceptorRelay]], None],
        max_waiting: int = 0,
        open_session: OpenSession | None = None,
    ) -> None:
        """Makes legs with all that they need.

        Args:
            policy: of this proxy; another one may be set later, for the connections to come.
            admission: limits.
            settings: time-outs.
            observer: is told of everything.
            exchange: opens sessions.
            loop: runs them.
            over: told of each leg that is over.
            max_waiting: connections without an association; beyond it the oldest makes room. 0 for no limit.
            open_session: where associations go; without it, through the tunnel.
        """
        self.policy = policy
        self._admission: Final = admission
        self._settings: Final = settings
        self._observer: Final = observer
        self._exchange: Final = exchange
        self._loop: Final = loop
        self._over: Final = over
        self._max_waiting: Final = max_waiting
        self._open_session: Final = open_session or self._through_tunnel
        self._waiting: Final[dict[AcceptorLeg, None]] = {}  # without an association, oldest first
        self.legs: Final[set[Leg[AcceptorRelay]]] = set()

    def connection_made(self, connection: StreamConnection) -> AcceptorLeg:
        """A connection came in; the leg is its handler."""
        if self._max_waiting and len(self._waiting) >= self._max_waiting:
            self._turn_oldest_away()
        leg = AcceptorLeg(
            connection,
            exchange=self._exchange,
            open_session=self._open_session,
            loop=self._loop,
            set_waiting=self._set_waiting,
            over=self._leg_over,
        )
        leg.relay = AcceptorRelay(
            record=AssociationRecord(side=Side.ACCEPTOR, started=self._loop.time(), peer=str(connection.peer_address)),
            end_point=leg,
            host=connection.peer_address.host,
            policy=self.policy,
            admission=self._admission,
            settings=self._settings,
            observer=self._observer,
            now=self._loop.time(),
        )
        self.legs.add(leg)
        self._waiting[leg] = None
        leg.start()
        return leg

    def _through_tunnel(
        self, asked: AskedFor, info: Mapping[str, str], _request: AssociateRequest, user: SessionUser
    ) -> SessionPort:
        return self._exchange.open_session(asked.channel, info, user)

    def _turn_oldest_away(self) -> None:
        """Who means to associate does so at once, so the oldest is the one that is least missed."""
        oldest = next(iter(self._waiting))
        del self._waiting[oldest]
        oldest.turn_away()

    def _set_waiting(self, leg: AcceptorLeg, is_waiting: bool) -> None:
        self._waiting.pop(leg, None)
        if is_waiting and leg in self.legs:
            self._waiting[leg] = None

    def _leg_over(self, leg: Leg[AcceptorRelay]) -> None:
        self._waiting.pop(cast(AcceptorLeg, leg), None)
        self.legs.discard(leg)
        self._over(leg)
