"""The requestor side's driver: a leg for each session that another side opens, connected to the target on demand."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from dimse_proxy.errors import TransportError
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.exchange import Exchange
from dimse_proxy.proxy.failover import DOWN_SECONDS, Failover
from dimse_proxy.proxy.hooks import AssociationRecord, Observer, Side
from dimse_proxy.proxy.leg import Leg
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.ports import IncomingSession
from dimse_proxy.proxy.requestor_relay import RequestorRelay
from dimse_proxy.proxy.routes import Target, Way
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.transports.streams import Address, StreamConnection, StreamHandler

Connect: TypeAlias = Callable[[Target, Address, StreamHandler], Awaitable[StreamConnection]]
"""Connects to one host of a target for a user; raises a TransportError that says why not."""

log: Final = logging.getLogger(__name__)


class RequestorLeg(Leg[RequestorRelay]):
    """One session that another side opened; implements `ports.RequestorPort`."""

    def __init__(
        self,
        *,
        connect: Connect,
        failover: Failover,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        over: Callable[["Leg[RequestorRelay]"], None],
    ) -> None:
        super().__init__(exchange=exchange, loop=loop, over=over)
        self._make_connection: Final = connect
        self._failover: Final = failover
        self._connecting: asyncio.Task[None] | None = None

    def opened(self) -> None:
        """The session is there."""
        self._tell(self.relay.opened)

    def connect(self, way: Way) -> None:
        """Starts connecting to the target."""
        self._connecting = self._loop.create_task(self._connect(way))

    def close(self) -> None:
        """Closes the connection, or gives up making it."""
        if self._connecting is not None:
            self._connecting.cancel()
        super().close()

    def reset(self) -> None:
        """Resets the connection, or gives up making it."""
        if self._connecting is not None:
            self._connecting.cancel()
        super().reset()

    async def _connect(self, way: Way) -> None:
        """Tries the hosts of the target in order; an answer to the A-ASSOCIATE-RQ, whatever it is, is final."""
        target, failover, reasons = way.target, self._failover, []
        for host in failover.order(target.hosts, self._loop.time()):
            self.relay.record.target = target.address(way.called, host)
            self.relay.record.target_host = host.host
            try:
                self._connection = await self._make_connection(target, host, self)
            except TransportError as error:
                reasons.append(str(error))
                if failover.failed(host, self._loop.time()) and len(target.hosts) > 1:
                    text = "%s: %s cannot be had (%s); the other hosts come first for %g s"
                    log.warning(text, target.name, host, error, DOWN_SECONDS)
            else:
                if failover.succeeded(host) and len(target.hosts) > 1:
                    log.info("%s: %s can be had again", target.name, host)
                self._connecting = None
                self._tell(self.relay.connected)
                return
        self._connecting = None
        self._tell(self.relay.connect_failed, "; ".join(reasons))


class Requestor:
    """Makes a leg of every session that another side opens."""

    def __init__(
        self,
        *,
        policy: Policy,
        admission: Admission,
        settings: RelaySettings,
        connect: Connect,
        observer: Observer,
        loop: asyncio.AbstractEventLoop,
        over: Callable[[Leg[RequestorRelay]], None],
    ) -> None:
        self.policy = policy
        """For the sessions to come; another one may be set."""
        self._admission: Final = admission
        self._settings: Final = settings
        self._connect: Final = connect
        self._failover: Final = Failover()
        self._observer: Final = observer
        self._loop: Final = loop
        self._over: Final = over
        self.legs: Final[set[Leg[RequestorRelay]]] = set()

    def session_opened(self, session: IncomingSession, exchange: Exchange) -> RequestorLeg:
        """A session was opened to us; the leg is its user."""
        leg = RequestorLeg(
            connect=self._connect,
            failover=self._failover,
            exchange=exchange,
            loop=self._loop,
            over=self._leg_over,
        )
        leg.relay = RequestorRelay(
            record=AssociationRecord(
                side=Side.REQUESTOR,
                started=self._loop.time(),
                peer=session.info.get("peer", ""),
                calling=session.info.get("calling", ""),
                called=session.info.get("called", ""),
                channel=session.channel,
                session=session.id_text,
                carried=dict(session.info),
            ),
            end_point=leg,
            session=session,
            info=session.info,
            policy=self.policy,
            admission=self._admission,
            settings=self._settings,
            observer=self._observer,
        )
        self.legs.add(leg)
        leg.opened()
        return leg

    def _leg_over(self, leg: Leg[RequestorRelay]) -> None:
        self.legs.discard(leg)
        self._over(leg)
