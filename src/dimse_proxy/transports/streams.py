"""What a stream of bytes offers and what its user implements; knows no socket.

`tcp` and `memory` implement the connection, a driver implements the handler.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol


class Address(NamedTuple):
    """One end of a connection."""

    host: str
    """Numeric address, IPv4 or IPv6 without brackets."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StreamHandler(Protocol):
    """The user of one connection; every method is called from the event loop and must not raise."""

    def data_received(self, data: bytes) -> None:
        """Bytes that the peer sent, at least one."""

    def eof_received(self) -> None:
        """The peer will send no more; it may still be written to, and `close` is up to the user."""

    def connection_lost(self, error_text: str) -> None:
        """The connection is over, and this is the last call; `error_text` says why, for logs."""

    def write_drained(self) -> None:
        """The unsent bytes had passed the high mark and are below the low mark again."""


class StreamConnection(Protocol):
    """One connection, as its user sees it."""

    @property
    def peer_address(self) -> Address:
        """Where the peer is."""

    @property
    def local_address(self) -> Address:
        """Where this side is."""

    @property
    def unsent(self) -> int:
        """Bytes that were written and have not left this process."""

    def write(self, data: bytes | memoryview) -> None:
        """Queues bytes; after `close` or `reset` they are dropped."""

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Queues several pieces without joining them."""

    def write_eof(self) -> None:
        """Sends what is queued and then the end of this direction; the other direction goes on."""

    def pause_reading(self) -> None:
        """Asks for no more data until `resume_reading`; what is already on its way may still come."""

    def resume_reading(self) -> None:
        """Undoes `pause_reading`."""

    def close(self) -> None:
        """Sends what is queued, then closes."""

    def reset(self) -> None:
        """Drops what is queued and resets the connection."""


class LendingConnection(StreamConnection, Protocol):
    """A connection that reads into memory of its own, where its user may look at what was read."""

    def lend_to(self, take: Callable[[memoryview], None]) -> None:
        """Gives what is read to `take` from now on, instead of a copy to `data_received`; it is gone afterwards."""


class HeldEvents:
    """Stands in for the user of a connection that has not yet been given to it; a `StreamHandler`."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: Final[list[Callable[[StreamHandler], None]]] = []

    def data_received(self, data: bytes) -> None:
        """Keeps it."""
        self._calls.append(lambda handler: handler.data_received(data))

    def eof_received(self) -> None:
        """Keeps it."""
        self._calls.append(lambda handler: handler.eof_received())

    def connection_lost(self, error_text: str) -> None:
        """Keeps it."""
        self._calls.append(lambda handler: handler.connection_lost(error_text))

    def write_drained(self) -> None:
        """Keeps it."""
        self._calls.append(lambda handler: handler.write_drained())

    def replay(self, handler: StreamHandler) -> None:
        """Tells `handler` all that was kept."""
        for call in self._calls:
            call(handler)
