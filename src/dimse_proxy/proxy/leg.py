"""The driver that both sides share: one TCP connection and one session, given to one relay.

It decides nothing: it tells the relay what came, at what time, and does what the relay's ports ask for.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from dimse_proxy.proxy.alarm import Alarm
from dimse_proxy.proxy.exchange import Exchange
from dimse_proxy.proxy.relay import Relay
from dimse_proxy.transports.streams import StreamConnection

RelayT = TypeVar("RelayT", bound=Relay)
log: Final = logging.getLogger(__name__)


class Leg(Generic[RelayT]):
    """A connection, a session and the relay between them; implements the ports of the relay.

    Implements `transports.streams.StreamHandler`, `exchange.SessionUser` and `ports.EndPointPort`.
    """

    relay: RelayT

    def __init__(
        self, *, exchange: Exchange, loop: asyncio.AbstractEventLoop, over: Callable[["Leg[RelayT]"], None]
    ) -> None:
        self._exchange: Final = exchange
        self._loop: Final = loop
        self._over: Final = over
        self._connection: StreamConnection | None = None
        self._alarm: Final = Alarm(loop, self._timer_due)
        self._is_over = False

    def start(self) -> None:
        """Sets the first timer: a connection that never sends a byte must end too."""
        self._settle()

    # What the connection does.

    def data_received(self, data: bytes) -> None:
        """Bytes from the end point."""
        self._tell(self.relay.end_point_received, data)

    def eof_received(self) -> None:
        """The end point has shut its sending half down."""
        self._tell(self.relay.end_point_eof)

    def connection_lost(self, error_text: str) -> None:
        """The connection is gone."""
        self._connection = None
        self._tell(self.relay.end_point_lost, error_text)

    def write_drained(self) -> None:
        """The end point has taken most of what was written."""
        self._tell(self.relay.end_point_drained)

    # What the session does. The exchange flushes by itself afterwards.

    def session_acknowledged(self) -> None:
        """An instance of the other side took the session."""

    def session_received(self, data: bytes | memoryview) -> None:
        """Bytes from the other side."""
        self._tell(self.relay.session_received, data)

    def session_ended(self) -> None:
        """The other side will send no more."""
        self._tell(self.relay.session_ended)

    def session_aborted(self, detail: Mapping[str, object]) -> None:
        """The other side ended the session."""
        self._tell(self.relay.session_aborted, detail)

    def session_failed(self, code: str, text: str) -> None:
        """The tunnel gave the session up."""
        self._tell(self.relay.session_failed, code, text)

    def session_writable(self) -> None:
        """There is credit again."""
        self._tell(self.relay.session_writable)

    # What the relay asks for.

    @property
    def unsent(self) -> int:
        """Bytes written that have not left this process yet."""
        return 0 if self._connection is None else self._connection.unsent

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Writes all of `parts`, in order."""
        if self._connection is not None:
            self._connection.writelines(parts)

    def pause_reading(self) -> None:
        """Lets TCP hold the end point back."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Undoes `pause_reading`."""
        if self._connection is not None:
            self._connection.resume_reading()

    def close(self) -> None:
        """Closes the connection once everything written has left."""
        if self._connection is not None:
            self._connection.close()

    def reset(self) -> None:
        """Ends the connection at once."""
        if self._connection is not None:
            self._connection.reset()

    def shut_down(self) -> None:
        """Aborts what still runs."""
        self._tell(self.relay.shut_down)

    def abort(self) -> None:
        """An operator wants it ended."""
        self._tell(self.relay.abort)

    def _tell(self, news: Callable[..., None], *details: object) -> None:
        """Gives the relay its news, at the time it is; a fault of ours costs this association, and no other."""
        try:
            news(*details, self._loop.time())
        except Exception:
            self._broken()
        self._settle()

    def _settle(self) -> None:
        """After everything that happened: publishes, sets the timer, and says when the leg is over."""
        self._exchange.flush()
        try:
            self.relay.take_note()
        except Exception:
            self._broken()
            self._exchange.flush()
        self._alarm.set(self.relay.next_timer())
        if self._connection is None and not self._is_over and self.relay.is_over:
            self._is_over = True
            self._alarm.set(None)
            self._over(self)

    def _broken(self) -> None:
        log.exception("A fault in this proxy: association %s is aborted.", self.relay.record.session or "-")
        self.relay.broken(self._loop.time())

    def _timer_due(self) -> None:
        self._tell(self.relay.handle_timer)
