"""The whole way of a byte in one process and without a kernel: both legs, both tunnels, the NATS protocol between them.

A leg is fed what a socket would bring, and what the other leg writes is thrown away. The clock is a number. So what
this does depends on nothing but the code, and its instructions can be counted. `guard` does that: it finds the borders
of the sections by the calls of `os.getppid`.
"""

import os
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from struct import Struct
from typing import Any, Final, cast

import structlog

from dimse_proxy.dimse.command_set import NO_DATA_SET, CommandSet, Tag, encode_ui, encode_us
from dimse_proxy.observability.association_log import AssociationLog
from dimse_proxy.observability.counts import Counts
from dimse_proxy.observability.listener import PeerListeners
from dimse_proxy.observability.state import LiveState
from dimse_proxy.proxy.acceptor import Acceptor
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.exchange import Exchange
from dimse_proxy.proxy.hooks import observers
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.requestor import Requestor
from dimse_proxy.proxy.routes import ANY, CALLING_ORIGINAL, LocalAe, Routes, Target
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.transports.nats_protocol import MessageReader
from dimse_proxy.transports.streams import Address, StreamConnection, StreamHandler
from dimse_proxy.tunnel.events import Message
from dimse_proxy.tunnel.settings import TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.tunnel import Tunnel
from dimse_proxy.upper_layer.codec import encode_associate_accept, encode_associate_request
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.pdu import ContextResult, PduType, ProposedContext

READ: Final = 128 << 10
"""Bytes that one read of a socket brings, of a sender that is faster than we are."""
STEP: Final = 100e-6
"""Seconds that pass with each read."""
MAX_PAYLOAD: Final = 1 << 20
PDU: Final = 16384
"""Bytes of a P-DATA-TF without its header, at most: what DCMTK announces."""
CONTEXT: Final = 3
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
C_STORE_RQ: Final = 0x0001
C_STORE_RSP: Final = 0x8001
_HEADERS: Final = Struct(">BxIIBB")
_COMMAND, _LAST = 1, 2


class Clock:
    """Stands where the event loop would: it knows the time, calls at a time, and runs what never waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._calls: Final[list[_Call]] = []

    def time(self) -> float:
        """Seconds."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> "_Call":
        """Calls back when `advance` gets there."""
        call = _Call(when, callback)
        self._calls.append(call)
        return call

    def create_task(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine to its end."""
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise AssertionError("it waits")

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += seconds
        due = [call for call in self._calls if call.when <= self.now]
        for call in due:
            self._calls.remove(call)
            if not call.is_cancelled:
                call.callback()


class _Call:
    __slots__ = ("callback", "is_cancelled", "when")

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when: Final = when
        self.callback: Final = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Connection:
    """A TCP connection whose peer takes everything at once; a `StreamConnection`."""

    peer_address = Address("192.0.2.1", 40000)
    local_address = Address("192.0.2.2", 104)
    unsent = 0

    def __init__(self) -> None:
        self.handler: StreamHandler | None = None
        self.last = b""
        """The beginning of what was written last."""
        self.written = 0

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Counts."""
        for part in parts:
            self.written += len(part)
        self.last = bytes(parts[0][:1024])

    def pause_reading(self) -> None:
        """Whoever feeds does not look."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def close(self) -> None:
        """Nothing is left to send."""

    def reset(self) -> None:
        """Means that something went wrong."""
        raise AssertionError("the connection was reset")


class Proxy:
    """One proxy process, without its process."""

    def __init__(self, clock: Clock, channel: str, peer: str, seed: int) -> None:
        loop = cast(Any, clock)
        self._sid: Final = b"1"
        self.connection: Final = Connection()
        counts = Counts()
        listeners: list[Any] = [AssociationLog(), counts, LiveState(counts.p_data_bytes, clock.time, clock.time)]
        target = Target(
            asked_for=(ANY,),
            channels=(peer,),
            hosts=(Address("192.0.2.1", 104),),
            ae_title="SCP",
            calling=CALLING_ORIGINAL,
        )
        policy = Policy(
            routes=Routes(
                own_ae_title="",
                channels=(peer,),
                default_channel=peer,
                local_aes=(LocalAe(called=ANY, channel=peer),),
                targets=(target,),
            )
        )
        admission, settings, observer = Admission(0), RelaySettings(), observers(listeners)
        requestor = Requestor(
            policy=policy,
            admission=admission,
            settings=settings,
            connect=self._connect,
            observer=observer,
            loop=loop,
            over=lambda _leg: None,
        )
        tunnel = Tunnel(
            TunnelIdentity(channel=channel, instance=channel.lower(), epoch=1, version="1"),
            TunnelSettings(),
            (peer,),
            random.Random(seed).randbytes,  # noqa: S311 - the same ones in every run
        )
        self.exchange: Final = Exchange(
            tunnel,
            loop=loop,
            session_opened=lambda session: requestor.session_opened(session, self.exchange),
            observer=PeerListeners(listeners),
        )
        self.exchange.attach(self)
        self.acceptor: Final = Acceptor(
            policy=policy,
            admission=admission,
            settings=settings,
            observer=observer,
            exchange=self.exchange,
            loop=loop,
            over=lambda _leg: None,
        )
        self.other: Proxy | None = None
        self.published: Final[deque[Sequence[bytes | memoryview]]] = deque()
        self._reader: Final = MessageReader(
            on_message=self.exchange.message, on_other=lambda _data: None, on_error=lambda _line: None
        )
        self._reader.add_subscription(1)

    async def _connect(self, _target: Target, _host: Address, handler: StreamHandler) -> StreamConnection:
        self.connection.handler = handler
        return cast(StreamConnection, self.connection)

    def publish(self, messages: Sequence[Message]) -> bool:
        """Writes messages as nats-server would pass them on."""
        for subject, parts in messages:
            length = sum(len(part) for part in parts)
            self.published.append((b"MSG %s %s %d\r\n" % (subject.encode(), self._sid, length), *parts, b"\r\n"))
        return True

    def receive(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Reads a message from the connection to NATS."""
        buffer = self._reader.get_buffer()
        end = 0
        for piece in pieces:
            buffer[end : end + len(piece)] = piece
            end += len(piece)
        self._reader.buffer_updated(end)
        self.exchange.batch_done()


class HotPath:
    """Two proxies that see each other, and one association through both."""

    def __init__(self) -> None:
        """Connects and associates."""
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
        self._clock: Final = Clock()
        self._a: Final = Proxy(self._clock, "A", "B", 1)
        self._b: Final = Proxy(self._clock, "B", "A", 2)
        for proxy in (self._a, self._b):
            proxy.exchange.connected(MAX_PAYLOAD, "nats://192.0.2.3:4222")
            self._pass_on()
        self._scu: Final = self._a.acceptor.connection_made(cast(StreamConnection, self._a.connection))
        called, calling = b"SCP".ljust(16), b"SCU".ljust(16)
        proposed = ProposedContext(context_id=CONTEXT, abstract_syntax=CT, transfer_syntaxes=(EXPLICIT,))
        accepted = ContextResult(context_id=CONTEXT, result=0, transfer_syntax=EXPLICIT)
        user = own_user_information(PDU)
        self._from_scu(
            encode_associate_request(
                called_ae_title=called,
                calling_ae_title=calling,
                presentation_contexts=[proposed],
                user_information=user,
            )
        )
        self._from_scp(
            encode_associate_accept(
                called_ae_title=called,
                calling_ae_title=calling,
                presentation_contexts=[accepted],
                user_information=user,
            )
        )
        assert self._a.connection.last[0] == PduType.A_ASSOCIATE_AC

    def store(self, message: bytes, message_id: int) -> None:
        """C-STORE: the command and its data set in reads of a socket, and the response."""
        begun = self._b.connection.written
        view = memoryview(message)
        for at in range(0, len(message), READ):
            self._from_scu(bytes(view[at : at + READ]))
        assert self._b.connection.written - begun == len(message)
        begun = self._a.connection.written
        response = command(C_STORE_RSP, message_id)
        self._from_scp(response)
        assert self._a.connection.written - begun == len(response)

    def _from_scu(self, data: bytes) -> None:
        self._clock.advance(STEP)
        self._scu.data_received(data)
        self._pass_on()

    def _from_scp(self, data: bytes) -> None:
        self._clock.advance(STEP)
        assert self._b.connection.handler is not None
        self._b.connection.handler.data_received(data)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._a.published or self._b.published:
            for sender, receiver in ((self._a, self._b), (self._b, self._a)):
                while sender.published:
                    receiver.receive(sender.published.popleft())


def p_data(fragment: bytes, control: int) -> bytes:
    """A P-DATA-TF with one PDV (PS3.8 9.3.5, E.2)."""
    return _HEADERS.pack(PduType.P_DATA_TF, len(fragment) + 6, len(fragment) + 2, CONTEXT, control) + fragment


def command(field: int, message_id: int) -> bytes:
    """A C-STORE-RQ or -RSP."""
    elements: dict[int, bytes] = {
        Tag.AFFECTED_SOP_CLASS_UID: encode_ui(CT),
        Tag.COMMAND_FIELD: encode_us(field),
        Tag.AFFECTED_SOP_INSTANCE_UID: encode_ui(f"1.2.3.{message_id}"),
    }
    if field == C_STORE_RQ:
        elements |= {Tag.MESSAGE_ID: encode_us(message_id), Tag.COMMAND_DATA_SET_TYPE: encode_us(0)}
    else:
        elements |= {
            Tag.MESSAGE_ID_BEING_RESPONDED_TO: encode_us(message_id),
            Tag.COMMAND_DATA_SET_TYPE: encode_us(NO_DATA_SET),
            Tag.STATUS: encode_us(0),
        }
    return p_data(CommandSet(elements=elements).encode(), _COMMAND | _LAST)


def object_of(length: int, message_id: int) -> bytes:
    """A C-STORE-RQ and its data set, in PDUs of 16 KiB."""
    room = PDU - 6
    pieces = [p_data(bytes(min(room, length - at)), _LAST * (at + room >= length)) for at in range(0, length, room)]
    return command(C_STORE_RQ, message_id) + b"".join(pieces)


REFERENCE: Final = "reference"
SECTIONS: Final = {"image of 512 KiB": (512 << 10, 20), "object of 10 KiB": (10 << 10, 60)}
"""Length of the objects of a section, and how many are stored."""


class _Counter:
    def __init__(self) -> None:
        self.count = 0
        self.seen: Final[dict[int, int]] = {}

    def take(self, piece: bytes) -> int:
        length, kind = _REFERENCE.unpack_from(piece)
        self.count += length
        self.seen[kind] = self.seen.get(kind, 0) + 1
        return len(piece)


_REFERENCE: Final = Struct(">IB")


def reference() -> None:
    """Do what Python does all day: calls, attributes, dictionaries, slices, and now and then a copy."""
    counter = _Counter()
    data = bytes(READ)
    for number in range(2000):
        counter.take(data[number : number + 64])
        if number % 100 == 0:
            data = bytes(memoryview(data))


def main() -> None:
    """Do the reference and store the objects of each section, a border before and behind each."""
    path = HotPath()
    reference()
    os.getppid()
    reference()
    os.getppid()
    for length, count in SECTIONS.values():
        messages = [object_of(length, number) for number in range(1, count + 1)]
        path.store(messages[0], 1)  # whatever is only paid for once
        os.getppid()
        for number, message in enumerate(messages, start=1):
            path.store(message, number)
        os.getppid()


if __name__ == "__main__":
    main()
