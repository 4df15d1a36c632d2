"""The acceptor side's driver: the listener, and a leg for each connection that comes in."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from dimse_proxy.proxy.acceptor_relay import AcceptorRelay
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.exchange import Exchange
from dimse_proxy.proxy.hooks import AssociationRecord, Observer, Side
from dimse_proxy.proxy.leg import Leg
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.ports import SessionPort
from dimse_proxy.proxy.relay import RelaySettings
from dimse_proxy.transports.tcp import TcpConnection


class AcceptorLeg(Leg[AcceptorRelay]):
    """One connection that a local association's requestor opened; implements `ports.AcceptorPort`."""

    def __init__(
        self,
        connection: TcpConnection,
        *,
        channel: str,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        over: Callable[["Leg[AcceptorRelay]"], None],
    ) -> None:
        super().__init__(exchange=exchange, loop=loop, over=over)
        self._connection = connection
        self._channel: Final = channel

    def open_session(self, info: Mapping[str, str], _now: float) -> SessionPort:
        """Opens a session to the other channel."""
        self.relay.record.channel = self.relay.record.target = self._channel
        return self._exchange.open_session(self._channel, info, self)


class Acceptor:
    """Makes a leg of every connection that comes in."""

    def __init__(
        self,
        *,
        channel: str,
        policy: Policy,
        admission: Admission,
        settings: RelaySettings,
        observer: Observer,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        over: Callable[[Leg[AcceptorRelay]], None],
    ) -> None:
        self._channel: Final = channel
        self._policy: Final = policy
        self._admission: Final = admission
        self._settings: Final = settings
        self._observer: Final = observer
        self._exchange: Final = exchange
        self._loop: Final = loop
        self._over: Final = over
        self.legs: Final[set[Leg[AcceptorRelay]]] = set()

    def connection_made(self, connection: TcpConnection) -> AcceptorLeg:
        """A connection came in; the leg is its handler."""
        leg = AcceptorLeg(
            connection, channel=self._channel, exchange=self._exchange, loop=self._loop, over=self._leg_over
        )
        leg.relay = AcceptorRelay(
            record=AssociationRecord(side=Side.ACCEPTOR, started=self._loop.time(), peer=str(connection.peer_address)),
            end_point=leg,
            host=connection.peer_address.host,
            policy=self._policy,
            admission=self._admission,
            settings=self._settings,
            observer=self._observer,
            now=self._loop.time(),
        )
        self.legs.add(leg)
        leg.start()
        return leg

    def _leg_over(self, leg: Leg[AcceptorRelay]) -> None:
        self.legs.discard(leg)
        self._over(leg)
