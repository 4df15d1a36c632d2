"""Connecting by name, and the sentences for what goes wrong with sockets; knows no protocol.

Every failure becomes a TransportError that an administrator can act on.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar, cast

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.streams import Address
from dimse_proxy.transports.tls_text import tls_error_text

P = TypeVar("P", bound=asyncio.BaseProtocol)


async def dial(
    make: Callable[[], P],
    host: str,
    port: int,
    *,
    timeout: float,  # noqa: ASYNC109 - shared out among the addresses of the name
    bind_host: str | None = None,
) -> tuple[asyncio.Transport, P]:
    """Connects to one of the addresses of `host`, trying them in the system's order.

    Each address gets its share of the time, so that one that answers nothing does not use it all.

    Args:
        make: Makes the protocol of the connection.
        host: Address or name.
        port: TCP port.
        timeout: Seconds for name and connection.
        bind_host: Address of this side, if not the system's choice.

    Raises:
        TransportError: No address could be connected to; the text says what happened at the last one.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    found = await _resolve(host, port, timeout)
    failure = TransportError(f"name {host} cannot be resolved")
    for index, (family, where) in enumerate(found):
        share = max(0.0, deadline - loop.time()) / (len(found) - index)
        try:
            async with asyncio.timeout(share):
                return await loop.create_connection(
                    make,
                    where.host,
                    where.port,
                    family=family,
                    local_addr=(bind_host, 0) if bind_host else None,
                )
        except TimeoutError as error:
            failure = TransportError(_timeout_text(error, where, timeout))
        except OSError as error:
            failure = TransportError(connect_error_text(error, where, bind_host))
    raise failure


async def _resolve(
    host: str,
    port: int,
    timeout: float,  # noqa: ASYNC109 - its error has a sentence of its own
) -> list[tuple[int, Address]]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise TransportError(f"name {host} was not resolved within {timeout:g} s") from error
    except (OSError, UnicodeError) as error:
        raise TransportError(f"name {host} cannot be resolved") from error
    # The address is taken as it is: a link-local one carries its interface after a percent sign.
    return [(family, Address(cast(str, address[0]), cast(int, address[1]))) for family, _, _, _, address in found]


def address_of(address: object) -> Address:
    """Reads what `getpeername` and `getsockname` return."""
    match address:
        case (str() as host, int() as port, *_):
            # An IPv4 peer of a socket that takes both, in the form that configurations and logs use.
            return Address(host.removeprefix("::ffff:") if "." in host else host, port)
        case _:
            return Address("unknown", 0)


def error_text(number: int) -> str:
    """What an error number of a connection means."""
    if number == errno.ETIMEDOUT:
        return "the peer no longer answers"
    return os.strerror(number).lower()


def loss_text(exc: Exception | None) -> str:
    """Why a connection was lost, from what the event loop says."""
    match exc:
        case None:
            return "closed by peer"
        case ConnectionResetError() | BrokenPipeError() | ConnectionAbortedError():
            return "reset by peer"
        case ssl.SSLError():
            return f"TLS failed: {tls_error_text(exc)}"
        case OSError(errno=int() as number):
            return error_text(number)
        case _:
            return f"failed: {exc}"


def listen_error_text(error: Exception, host: str) -> str:
    """Why an address cannot be listened on."""
    match error:
        case socket.gaierror():
            return f"name {host} cannot be resolved"
        case OSError(errno=errno.EADDRINUSE):
            return "the port is in use"
        case OSError(errno=errno.EADDRNOTAVAIL):
            return "this machine has no such address"
        case PermissionError():
            return "this user may not use this port"
        case OSError(errno=int() as number):
            return error_text(number)
        case _:
            return str(error)


def connect_error_text(error: OSError, where: Address, bind_host: str | None = None) -> str:
    """Why a connection could not be made."""
    match error:
        case ConnectionRefusedError():
            return f"connection refused by {where}"
        case ssl.SSLCertVerificationError():
            return f"the certificate of {where} is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS with {where} failed: {tls_error_text(error)}"
        case ConnectionResetError() | ConnectionAbortedError():
            return f"connection reset by {where}"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return f"no route to {where}"
        case OSError() if bind_host and (error.errno == errno.EADDRNOTAVAIL or "local address" in str(error)):
            return f"cannot connect to {where} from {bind_host}: this machine has no such address"
        case OSError(errno=int() as number):
            return f"cannot connect to {where}: {error_text(number)}"
        case _:
            return f"cannot connect to {where}: {error}"


def _timeout_text(error: TimeoutError, where: Address, timeout: float) -> str:
    # The system's own ETIMEDOUT is a TimeoutError too, and may come before ours.
    return f"no answer from {where}" if error.errno is not None else f"no answer from {where} within {timeout:g} s"
