"""The PROXY protocol, versions 1 and 2: a load balancer says in a header whose connection it passes on.

`read_header` is pure. `ProxyGate` takes the header off each connection that comes in, before anything else (TLS too)
sees a byte. What follows the header is not looked at.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Protocol

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.transports.streams import Address, LendingConnection, StreamHandler

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
"""How a header of version 2 begins."""
_TEXT_START: Final = b"PROXY "
_LONGEST_TEXT: Final = 107
"""Bytes of the longest header of version 1, its line end included."""
_FIXED: Final = 16
"""Bytes of version 2 in front of the addresses: signature, version and command, family, length."""
_LONGEST: Final = 4096
"""Bytes of addresses and further values of version 2 that are taken; load balancers send some hundred."""
_TEXT: Final = re.compile(rb"PROXY TCP[46] (\S+) (\S+) (\d{1,5}) (\d{1,5})\r\n")
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """A header that is complete."""

    source: Address | None
    """Whose connection it is; None if the load balancer does not say, as in its own health checks."""
    length: int
    """Bytes of the header."""


def read_header(data: bytes) -> ProxyHeader | None:
    """Read the header at the beginning of a connection; None if more bytes are needed.

    Raises:
        RemoteProtocolError: this is no header, and cannot become one.
    """
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _read_binary(data)
    if data[: len(_TEXT_START)] == _TEXT_START[: len(data)]:
        return _read_text(data)
    raise _malformed("it does not begin with one")


def _read_binary(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED:
        return None
    command, family, length = data[12], data[13], int.from_bytes(data[14:16], "big")
    if command not in (_LOCAL, _PROXY):
        raise _malformed(f"version and command are {command:02X}H")
    if length > _LONGEST:
        raise _malformed(f"it has a length of {length}")
    if len(data) < _FIXED + length:
        return None
    addresses = data[_FIXED : _FIXED + length]
    source = None
    if command == _PROXY and family == _TCP4:
        source = _source(addresses, IPv4Address, 4)
    elif command == _PROXY and family == _TCP6:
        source = _source(addresses, IPv6Address, 16)
    return ProxyHeader(source=source, length=_FIXED + length)


def _source(addresses: bytes, kind: type[IPv4Address] | type[IPv6Address], size: int) -> Address:
    """The first of two addresses, and the first of two ports behind them."""
    if len(addresses) < 2 * size + 4:
        raise _malformed("its addresses are cut off")
    port = int.from_bytes(addresses[2 * size : 2 * size + 2], "big")
    return Address(str(kind(addresses[:size])), port)


def _read_text(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, _LONGEST_TEXT)
    if end < 0:
        if len(data) >= _LONGEST_TEXT:
            raise _malformed("its line does not end")
        return None
    line = data[: end + 1]
    if _UNKNOWN.fullmatch(line):
        return ProxyHeader(source=None, length=len(line))
    match = _TEXT.fullmatch(line)
    if match is None:
        raise _malformed("its line cannot be read")
    kind = IPv4Address if line.startswith(b"PROXY TCP4") else IPv6Address
    try:
        host = kind(match[1].decode("ascii"))
        kind(match[2].decode("ascii"))
    except ValueError:
        raise _malformed("it holds no addresses") from None
    port = int(match[3])
    if port > 65535 or int(match[4]) > 65535:
        raise _malformed("it holds a port above 65535")
    return ProxyHeader(source=Address(str(host), port), length=len(line))


def _malformed(what: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"no PROXY protocol header: {what}", reason=0)


class FrontedConnection(LendingConnection, Protocol):
    """A connection that may turn out to be somebody else's."""

    def speak_for(self, peer: Address) -> None:
        """From now on, that is where the peer is."""

    def give_to(self, handler: StreamHandler) -> None:
        """From now on, that is the user."""


class ProxyGate:
    """Takes the header off connections that come in, and hands them on as those of whom it names."""

    def __init__(
        self,
        on_connection: Callable[[FrontedConnection], StreamHandler],
        on_failed: Callable[[Address, str], None],
        *,
        timeout: float,
        limit: int = 0,
    ) -> None:
        """Makes a gate; `connection_made` is what a listener calls.

        Args:
            on_connection: called for each connection whose header is complete, and returns its user.
            on_failed: called for each that sends something else, with the load balancer's address and a reason.
            timeout: seconds for the header.
            limit: connections without a whole header at the same time; beyond it the oldest is reset. 0 for no limit.
        """
        self._on_connection: Final = on_connection
        self._on_failed: Final = on_failed
        self._timeout: Final = timeout
        self._limit: Final = limit
        self._waiting: Final[dict[_Waiting, None]] = {}

    @property
    def waiting(self) -> int:
        """Connections without a whole header."""
        return len(self._waiting)

    def connection_made(self, connection: FrontedConnection) -> StreamHandler:
        """A connection came in; the handler of its first bytes."""
        if self._limit and len(self._waiting) >= self._limit:
            next(iter(self._waiting)).give_up()
        waiting = _Waiting(self, connection, self._timeout)
        self._waiting[waiting] = None
        return waiting

    def close(self) -> None:
        """Gives up those that wait."""
        for waiting in list(self._waiting):
            waiting.give_up()

    def complete(self, waiting: "_Waiting", connection: FrontedConnection, header: ProxyHeader, rest: bytes) -> None:
        """The header is there: the next in line takes over."""
        self.forget(waiting)
        if header.source is not None:
            connection.speak_for(header.source)
        handler = self._on_connection(connection)
        connection.give_to(handler)
        if rest:
            handler.data_received(rest)

    def failed(self, waiting: "_Waiting", connection: FrontedConnection, text: str) -> None:
        """There is no header."""
        self.forget(waiting)
        self._on_failed(connection.peer_address, text)

    def forget(self, waiting: "_Waiting") -> None:
        """It does not wait any more."""
        self._waiting.pop(waiting, None)


class _Waiting:
    """The user of a connection until its header is complete."""

    def __init__(self, gate: ProxyGate, connection: FrontedConnection, timeout: float) -> None:
        self._gate: Final = gate
        self._connection: Final = connection
        self._data = b""
        self._is_over = False
        self._timer: Final = asyncio.get_running_loop().call_later(timeout, self.give_up)

    def give_up(self) -> None:
        """No header has come, or there is no room: ends without a word, as probes are ended."""
        self._end()
        self._connection.reset()

    def data_received(self, data: bytes) -> None:
        """Some of the header, or all of it and more."""
        if self._is_over:
            return
        self._data += data
        try:
            header = read_header(self._data)
        except RemoteProtocolError as error:
            self._end()
            self._connection.close()
            self._gate.failed(self, self._connection, str(error))
            return
        if header is not None:
            self._end()
            self._gate.complete(self, self._connection, header, self._data[header.length :])

    def eof_received(self) -> None:
        """No header comes any more."""
        self._end()
        self._connection.close()

    def connection_lost(self, error_text: str) -> None:
        """Nobody is interested: load balancers look whether a port is open all day."""
        self._end()

    def write_drained(self) -> None:
        """Nothing is written."""

    def _end(self) -> None:
        self._is_over = True
        self._timer.cancel()
        self._gate.forget(self)
