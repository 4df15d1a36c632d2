"""The requestor side's driver: a leg for each session that another side opens, connected to the target on demand."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True, kw_only=True)
class Attempt:
    """A connection to a host that has not said a word yet, while there are others to try."""

    way: Way
    host: Address
    left: tuple[Address, ...]
    asked: list[bytes | memoryview] = field(default_factory=list)
    """What was written to it: the A-ASSOCIATE-RQ, which the next host gets too."""


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
        self._attempt: Attempt | None = None

    def opened(self) -> None:
        """The session is there."""
        self._tell(self.relay.opened)

    def connect(self, way: Way) -> None:
        """Starts connecting to the target."""
        hosts = self._failover.order(way.target.hosts, self._loop.time())
        self._connecting = self._loop.create_task(self._connect(way, hosts))

    def data_received(self, data: bytes) -> None:
        """Bytes from the target: this host is the one."""
        if self._attempt is not None:
            self._note_success(self._attempt.way, self._attempt.host)
            self._attempt = None
        super().data_received(data)

    def eof_received(self) -> None:
        """A host that hangs up without a word, as a balancer with nobody behind it does, is not the last one."""
        if self._attempt is None:
            super().eof_received()
        elif self._connection is not None:
            self._connection.close()

    def connection_lost(self, error_text: str) -> None:
        """The connection is gone; the next host is asked, if there is one and this one has said nothing."""
        attempt = self._attempt
        if attempt is None or self.relay.is_over:
            super().connection_lost(error_text)
            return
        self._connection = None
        self._note_failure(attempt.way, attempt.host, f"it closed the connection without answering: {error_text}")
        self._connecting = self._loop.create_task(self._connect(attempt.way, attempt.left))

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Writes all of `parts`, in order."""
        if self._attempt is not None:
            if self._attempt.asked:  # the association is being aborted
                self._attempt = None
            else:
                self._attempt.asked.extend(parts)
        super().writelines(parts)

    def close(self) -> None:
        """Closes the connection, or gives up making it."""
        self._give_up()
        super().close()

    def reset(self) -> None:
        """Resets the connection, or gives up making it."""
        self._give_up()
        super().reset()

    def _give_up(self) -> None:
        attempt, self._attempt = self._attempt, None
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
            if attempt is not None:  # the relay believes that there is a connection
                self._loop.call_soon(self.connection_lost, "given up")

    async def _connect(self, way: Way, hosts: tuple[Address, ...]) -> None:
        """Tries hosts of the target in order; an answer to the A-ASSOCIATE-RQ, whatever it is, is final."""
        target, reasons = way.target, []
        for place, host in enumerate(hosts, start=1):
            self.relay.record.target = target.address(way.called, host)
            self.relay.record.target_host = host.host
            try:
                self._connection = await self._make_connection(target, host, self)
            except TransportError as error:
                reasons.append(str(error))
                self._note_failure(way, host, str(error))
            else:
                self._connecting = None
                self._connected(way, host, hosts[place:])
                return
        self._connecting = None
        self._attempt = None
        self._tell(self.relay.connect_failed, "; ".join(reasons))

    def _connected(self, way: Way, host: Address, left: tuple[Address, ...]) -> None:
        before = self._attempt
        self._attempt = Attempt(way=way, host=host, left=left) if left else None
        if not left:
            self._note_success(way, host)
        if before is None:
            self._tell(self.relay.connected)
        else:
            self.writelines(before.asked)

    def _note_failure(self, way: Way, host: Address, text: str) -> None:
        target = way.target
        if self._failover.failed(host, self._loop.time()) and len(target.hosts) > 1:
            said = "%s: %s cannot be had (%s); the other hosts come first for %g s"
            log.warning(said, target.name, host, text, DOWN_SECONDS)

    def _note_success(self, way: Way, host: Address) -> None:
        if self._failover.succeeded(host) and len(way.target.hosts) > 1:
            log.info("%s: %s can be had again", way.target.name, host)


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
