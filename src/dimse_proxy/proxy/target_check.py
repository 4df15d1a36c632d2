"""A C-ECHO from this proxy to its own target, without the tunnel: is the target there, and does it answer?

One association of its own, over a connection that is made for it.
"""

import asyncio
from time import perf_counter
from typing import Final

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.services import VERIFICATION_SOP_CLASS, echo_request
from dimse_proxy.dimse.status import status_name
from dimse_proxy.errors import RemoteProtocolError, TransportError
from dimse_proxy.proxy.requestor import Connect
from dimse_proxy.proxy.routes import Routes, Target
from dimse_proxy.transports.streams import Address, StreamConnection
from dimse_proxy.upper_layer.ae_title import ae_title_to_bytes
from dimse_proxy.upper_layer.association import Association, Role
from dimse_proxy.upper_layer.codec import encode_associate_request, encode_release_request
from dimse_proxy.upper_layer.events import (
    AbortReceived,
    AssociateAcceptReceived,
    AssociateRejectReceived,
    CommandFragment,
    ConnectionLost,
    Event,
    PDataReceived,
    ReleaseResponseReceived,
    TransportCloses,
)
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.negotiation import maximum_length
from dimse_proxy.upper_layer.pdu import ProposedContext

_CONTEXT_ID: Final = 1
_IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"


class TargetError(TransportError):
    """The target does not answer C-ECHO with success; the message says why."""


async def check_target(
    routes: Routes, target: Target, host: Address, connect: Connect, *, accept_timeout: float
) -> float:
    """Send one host of a target a C-ECHO, as this proxy itself would call it; return the seconds that took.

    Raises:
        TargetError: it did not answer with success.
    """
    own = routes.own_ae_title or "DIMSEPROXY"
    check = TargetCheck(
        called=target.title_for_tests,
        calling=routes.calling_title(target, channel="", calling=own),
        timeout=target.connect_timeout + accept_timeout,
    )
    return await check.run(connect, target, host)


class TargetCheck:
    """One C-ECHO; implements `transports.streams.StreamHandler`."""

    def __init__(self, *, called: str, calling: str, timeout: float) -> None:
        self._called: Final = called
        self._calling: Final = calling
        self._timeout: Final = timeout
        self._association: Final = Association(Role.REQUESTOR)
        self._events: Final[asyncio.Queue[Event]] = asyncio.Queue()
        self._connection: StreamConnection | None = None
        self._loop: Final = asyncio.get_running_loop()

    async def run(self, connect: Connect, target: Target, host: Address) -> float:
        """Ask once; return the seconds from the connection to the answer.

        Raises:
            TargetError: there was no connection, no association, or no success.
        """
        started = perf_counter()
        try:
            async with asyncio.timeout(self._timeout):
                self._connection = await connect(target, host, self)
                await self._associate()
                await self._echo()
        except TimeoutError:
            raise TargetError(f"no answer within {self._timeout:g} s") from None
        except RemoteProtocolError as error:
            raise TargetError(f"its answer cannot be read: {error}") from None
        except TargetError:
            raise
        except TransportError as error:
            raise TargetError(str(error)) from None
        finally:
            if self._connection is not None:
                self._connection.close()
        return perf_counter() - started

    async def _associate(self) -> None:
        request = encode_associate_request(
            called_ae_title=ae_title_to_bytes(self._called),
            calling_ae_title=ae_title_to_bytes(self._calling),
            presentation_contexts=[
                ProposedContext(
                    context_id=_CONTEXT_ID,
                    abstract_syntax=VERIFICATION_SOP_CLASS,
                    transfer_syntaxes=(_IMPLICIT_VR_LITTLE_ENDIAN,),
                )
            ],
            user_information=own_user_information(),
        )
        self._association.send(request, self._loop.time())
        self._association.transport_connected(self._loop.time())
        self._settle()
        match await self._next():
            case AssociateAcceptReceived() if _CONTEXT_ID in self._association.accepted_contexts:
                return
            case AssociateAcceptReceived():
                raise TargetError("it accepts the association, but not Verification")
            case AssociateRejectReceived(reject=reject):
                raise TargetError(
                    f"it rejected the association as {self._calling} calling {self._called}: "
                    f"result {reject.result}, source {reject.source}, reason {reject.reason}"
                )
            case event:
                raise TargetError(f"it did not accept the association: {_words(event)}")

    async def _echo(self) -> None:
        accept = self._association.accept
        longest = 0 if accept is None else maximum_length(accept.user_information)
        self._association.send_p_data(echo_request(_CONTEXT_ID, 1, longest), self._loop.time())
        self._settle()
        command, is_whole = b"", False
        while not is_whole:
            match await self._next():
                case PDataReceived(marks=marks):
                    fragments = [mark for mark in marks if isinstance(mark, CommandFragment)]
                    command += b"".join(fragment.data for fragment in fragments)
                    is_whole = any(fragment.is_last for fragment in fragments)
                case event:
                    raise TargetError(f"it did not answer C-ECHO: {_words(event)}")
        status = CommandSet.decode(command).status
        if status != 0:
            shown = "no status" if status is None else f"status {status:04X}H, {status_name(status)}"
            raise TargetError(f"it answered C-ECHO with {shown}")
        self._association.send(encode_release_request(), self._loop.time())
        self._settle()
        while not isinstance(await self._next(), ReleaseResponseReceived | ConnectionLost | AbortReceived):
            pass

    async def _next(self) -> Event:
        return await self._events.get()

    def _settle(self) -> None:
        for event in self._association.events_received():
            if not isinstance(event, TransportCloses):
                self._events.put_nowait(event)
        if self._connection is not None and (parts := self._association.data_to_send()):
            self._connection.writelines(parts)

    # `transports.streams.StreamHandler`

    def data_received(self, data: bytes) -> None:
        """Bytes of the target."""
        self._association.receive_data(data, self._loop.time())
        self._settle()

    def eof_received(self) -> None:
        """It will send no more."""
        self._association.receive_eof(self._loop.time())
        self._settle()

    def connection_lost(self, error_text: str) -> None:
        """The connection is over."""
        self._connection = None
        self._association.connection_lost(self._loop.time(), error_text)
        self._settle()

    def write_drained(self) -> None:
        """A C-ECHO never fills a buffer."""


def _words(event: Event) -> str:
    match event:
        case ConnectionLost(description=description):
            return f"it closed the connection ({description})"
        case AbortReceived(abort=abort):
            return f"it aborted (source {abort.source}, reason {abort.reason})"
        case _:
            return type(event).__name__
