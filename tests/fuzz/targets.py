"""What is fuzzed: functions that take any bytes, and raise only if the code under test does what it must not.

`run` gives each of them a million inputs, guided by coverage; `test_fuzz_targets` some hundred, in the fast tests. The
errors that are declared are caught here, and nothing else.
"""

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.contents import ContentReader, DataSetBegins
from dimse_proxy.dimse.data_set_head import HeadReader
from dimse_proxy.dimse.rewrite import SWALLOW, CommandRewriter, Verdict
from dimse_proxy.dimse.tracking import MessageTracker
from dimse_proxy.errors import RemoteProtocolError, TunnelError
from dimse_proxy.tunnel import Session, TunnelSettings
from dimse_proxy.tunnel.frames import HEADER, VERSION, FrameType, decode_body
from dimse_proxy.tunnel.hello import decode_hello
from dimse_proxy.upper_layer.association import Association, Role
from dimse_proxy.upper_layer.codec import decode_pdu, encode_associate_accept, encode_associate_request
from dimse_proxy.upper_layer.events import PDataReceived, Place
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.pdu import ContextResult, ProposedContext
from dimse_proxy.upper_layer.reader import PduReader
from dimse_proxy.upper_layer.state_machine import State
from tests.unit.dimse import messages
from tests.unit.tunnel.network import Network, Node, pair

_CONTEXTS: Final = (1, 3)
_REQUEST: Final = encode_associate_request(
    called_ae_title=b"TARGET".ljust(16),
    calling_ae_title=b"ASKER".ljust(16),
    presentation_contexts=[
        ProposedContext(context_id=number, abstract_syntax="1.2.3", transfer_syntaxes=("1.2.840.10008.1.2",))
        for number in _CONTEXTS
    ],
    user_information=own_user_information(),
)
_ACCEPT: Final = encode_associate_accept(
    called_ae_title=b"TARGET".ljust(16),
    calling_ae_title=b"ASKER".ljust(16),
    presentation_contexts=[
        ContextResult(context_id=number, result=0, transfer_syntax="1.2.840.10008.1.2") for number in _CONTEXTS
    ],
    user_information=own_user_information(),
)

_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
_WANTED: Final = tuple(map(CommandSet.decode, (messages.store_request(), messages.move_request())))

RENEWAL: Final = 500
"""Inputs after which a tunnel is made anew: what one input left must not grow, and must not hide what others find."""


def pdus(data: bytes) -> None:
    """One PDU as a whole, and a stream of them in two pieces, to an acceptor, a requestor and a bare reader."""
    with contextlib.suppress(RemoteProtocolError):
        decode_pdu(data)
    cut = len(data) // 2
    pieces = (data[:cut], data[cut:])
    for role in Role:
        association = Association(role)
        if role is Role.REQUESTOR:
            association.send(_REQUEST, 0.0)
        association.transport_connected(0.0)
        for piece in pieces:
            association.receive_data(piece, 1.0)
            if association.state is State.STA3:
                association.send(_ACCEPT, 1.0)
        association.receive_eof(2.0)
        association.handle_timer(100.0)
        assert len(b"".join(bytes(part) for part in association.data_to_send())) < 1 << 20
        association.events_received()
    reader = PduReader(accepted_contexts={1, 3})
    tracker = MessageTracker({1: "1.2.3", 3: "1.2.4"})
    with contextlib.suppress(RemoteProtocolError):
        for piece in pieces:
            for found in reader.feed(piece):
                for mark in found.marks if isinstance(found, PDataReceived) else ():
                    tracker.observe(mark, from_requestor=True, now=1.0)


def command_sets(data: bytes) -> None:
    """A command set alone, and as what a stream of P-DATA-TF PDUs holds that may not all pass."""
    with contextlib.suppress(RemoteProtocolError):
        command = CommandSet.decode(data)
        assert CommandSet.decode(command.encode()).elements == command.elements
        repr(command)
        _ = command.sub_operations, command.move_destination, command.move_originator_ae_title, command.sop_class_uid
    framed = messages.pdu(messages.pdv(1, 3, data)) + messages.pdu(messages.pdv(1, 2, b"DATA"))
    for stream, is_strict in itertools.product((framed, data), (True, False)):
        rewriter = CommandRewriter(_no_store, 128, strict=is_strict, held_limit=4096)
        with contextlib.suppress(RemoteProtocolError):
            out = list(rewriter.feed(stream[: len(stream) // 3])) + list(rewriter.feed(stream[len(stream) // 3 :]))
            rewriter.insert([b"ours"])
            out += rewriter.flush()
            assert sum(map(len, out)) <= len(stream) * 64 + 64


def _no_store(_context_id: int, command: CommandSet) -> CommandSet | Verdict | None:
    return SWALLOW if command.command_field is CommandField.C_STORE_RQ else None


@dataclass
class _Tunnel:
    """Two tunnels that know each other, with a session between them; frames are forged as from `b` to `a`."""

    network: Network
    a: Node
    b: Node
    session: Session
    route: bytes
    used: int = 0


def _new_tunnel(settings: TunnelSettings) -> _Tunnel:
    network, a, b = pair(settings)
    session = a.tunnel.open_session("B", {"called": "TARGET"}, network.now)
    session.send_data(b"x" * 100, network.now)
    network.settle()
    (last,) = [message for message in network.log if message.subject.endswith(".i.a1")][-1:]
    network.log.clear()
    route = HEADER.unpack_from(b"".join(last.parts))[5]
    return _Tunnel(network, a, b, session, route)


_PLAIN: Final = TunnelSettings()
_SEALED: Final = TunnelSettings(keys=(bytes(range(32)),))
_tunnels: Final[dict[int, _Tunnel]] = {}


def _tunnel(settings: TunnelSettings) -> _Tunnel:
    tunnel = _tunnels.get(id(settings))
    if tunnel is None or tunnel.used >= RENEWAL:
        tunnel = _tunnels[id(settings)] = _new_tunnel(settings)
    tunnel.used += 1
    return tunnel


def _receive(tunnel: _Tunnel, subject: str, payload: bytes) -> None:
    node, now = tunnel.a, tunnel.network.now
    node.tunnel.receive_message(subject, payload, now)
    for event in node.tunnel.events_received():
        repr(event)
    sent = sum(len(part) for message in node.tunnel.messages_to_send(now) for part in message.parts)
    assert sent < 1 << 20
    node.events.clear()


def tunnel_frames(data: bytes) -> None:
    """A frame: whole as it is, and behind a header that fits the session; plain and with a tunnel key."""
    for settings in (_PLAIN, _SEALED):
        tunnel = _tunnel(settings)
        _receive(tunnel, "DIMSE.A.B.i.a1", data)
        kind = data[0] % 16 if data else 0
        numbers = int.from_bytes(data[1:9], "big"), int.from_bytes(data[9:17], "big")
        session = tunnel.session.id if len(data) % 4 else data[:16].ljust(16, b"\1")
        header = HEADER.pack(VERSION, kind, len(data) % 3, kind % 4, session, tunnel.route, *numbers)
        _receive(tunnel, "DIMSE.A.B.i.a1", header + data[17:])


def control_messages(data: bytes) -> None:
    """A JSON body: alone, as a hello, and in each type of frame."""
    for decode in (decode_body, decode_hello):
        with contextlib.suppress(TunnelError):
            decode(data)
    kinds = list(FrameType)
    for settings in (_PLAIN, _SEALED):
        tunnel = _tunnel(settings)
        _receive(tunnel, "DIMSE.A.B.hello", data)
        kind = kinds[sum(data[:4]) % len(kinds)]
        session = bytes(16) if kind in (FrameType.SYNC, FrameType.RESET) else tunnel.session.id
        if kind is FrameType.OPEN:
            session = data[:16].ljust(16, b"\1")
        header = HEADER.pack(VERSION, kind, 0, 0, session, tunnel.route, 1 << 20, 100)
        _receive(tunnel, "DIMSE.A.B.i.a1", header + data)


def data_sets(data: bytes) -> None:
    """The head of a data set in each kind of transfer syntax, and the same within a stream of P-DATA-TF PDUs."""
    for transfer_syntax in _SYNTAXES:
        reader = HeadReader(transfer_syntax)
        reader.feed(data[: len(data) // 2])
        reader.feed(data[len(data) // 2 :])
        reader.finish()
        assert reader.is_done
        for command in _WANTED:
            contents = ContentReader({1: transfer_syntax})
            begin = DataSetBegins(context_id=1, command=command, place=Place(end=0, pdu_left=len(data) % 3))
            seen = list(contents.feed(data[:40], [begin], from_requestor=True))
            seen += contents.feed(data[40:], (), from_requestor=True)
            assert len(seen) <= 1


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "pdus": pdus,
    "command_sets": command_sets,
    "tunnel_frames": tunnel_frames,
    "control_messages": control_messages,
    "data_sets": data_sets,
}
