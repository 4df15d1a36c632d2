"""The requestor side's driver: a leg for each session that another side opens, connected to the target on demand."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from dimse_proxy.errors import TransportError
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.exchange import Exchange
from dimse_proxy.proxy.hooks import AssociationRecord, Observer, Side
from dimse_proxy.proxy.leg import Leg
from dimse_proxy.proxy.policy import Policy, Target
from dimse_proxy.proxy.requestor_relay import RequestorRelay
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.transports.streams import StreamConnection, StreamHandler
from dimse_proxy.tunnel.session import Session

Connect: TypeAlias = Callable[[str, int, StreamHandler], Awaitable[StreamConnection]]
"""Connects to a host and port for a user, plain or with TLS; raises a TransportError that says why not."""


class RequestorLeg(Leg[RequestorRelay]):
    """One session that another side opened; implements `ports.RequestorPort`."""

    def __init__(
        self,
        *,
        target: Target | None,
        connect: Connect,
        exchange: Exchange,
        loop: asyncio.AbstractEventLoop,
        over: Callable[["Leg[RequestorRelay]"], None],
    ) -> None:
        super().__init__(exchange=exchange, loop=loop, over=over)
        self._target: Final = target
        self._make_connection: Final = connect
        self._connecting: asyncio.Task[None] | None = None

    def opened(self) -> None:
        """The session is there."""
        self._tell(self.relay.opened)

    def connect(self) -> None:
        """Starts connecting to the target."""
        self._connecting = self._loop.create_task(self._connect())

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

    async def _connect(self) -> None:
        if self._target is None:
            return
        try:
            self._connection = await self._make_connection(self._target.host, self._target.port, self)
        except TransportError as error:
            self._connecting = None
            self._tell(self.relay.connect_failed, str(error))
        else:
            self._connecting = None
            self._tell(self.relay.connected)


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
        self._policy: Final = policy
        self._admission: Final = admission
        self._settings: Final = settings
        self._connect: Final = connect
        self._observer: Final = observer
        self._loop: Final = loop
        self._over: Final = over
        self.legs: Final[set[Leg[RequestorRelay]]] = set()

    def session_opened(self, session: Session, exchange: Exchange) -> RequestorLeg:
        """A session was opened to us; the leg is its user."""
        leg = RequestorLeg(
            target=self._policy.target,
            connect=self._connect,
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
                target=self._policy.target.address(self._policy.target.ae_title) if self._policy.target else "none",
                channel=session.channel,
                session=session.id_text,
            ),
            end_point=leg,
            session=session,
            info=session.info,
            policy=self._policy,
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
