"""Every field of the tunnel's header, byte by byte, as `docs/tunnel-protocol.md` has it."""

from dimse_proxy.tunnel import Tunnel, TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.frames import (
    HEADER,
    HEADER_SIZE,
    TAIL,
    FrameFlag,
    FrameType,
    instance_tag,
    make_prefix,
    make_route,
)
from tests.vectors.hex_text import from_hex

DATA = """
01                                              # version 1
05                                              # DATA
00 01                                           # flags: ACK_NOW
00 00 00 00                                     # key id: not sealed
00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f # session
7d db 1d 69 b0 2d 6f 2d                         # sender: the first 8 bytes of SHA-256 of 'proxy-1'
00 00 01 8c c2 51 f4 00                         # sender's epoch
ff ff ff ff ff ff ff ff                         # receiver's epoch
00 00 00 00 00 00 00 2a                         # counter 42
00 00 00 01 00 00 00 00                         # offset 4 GiB
"""


def test_the_header_is_64_bytes() -> None:
    assert HEADER_SIZE == HEADER.size == len(from_hex(DATA)) == 64


def test_data_header() -> None:
    route = make_route(instance_tag("proxy-1"), 0x18CC251F400, (1 << 64) - 1)
    header = make_prefix(FrameType.DATA, bytes(range(16)), route, FrameFlag.ACK_NOW) + TAIL.pack(42, 1 << 32)
    assert header.hex(" ") == from_hex(DATA).hex(" ")
    assert HEADER.unpack(header) == (1, 5, 1, 0, bytes(range(16)), route, 42, 1 << 32)


def test_types_are_numbered_for_ever() -> None:
    assert {kind.name: kind.value for kind in FrameType} == {
        "OPEN": 1,
        "OPENED": 2,
        "REFUSED": 3,
        "CANCEL": 4,
        "DATA": 5,
        "ACK": 6,
        "GAP": 7,
        "PROBE": 8,
        "END": 9,
        "ABORT": 10,
        "CLOSED": 11,
        "SYNC": 12,
        "RESET": 13,
    }


def started(channel: str, peer: str, instance: str, epoch: int) -> Tunnel:
    tunnel = Tunnel(TunnelIdentity(channel, instance, epoch, "1.0"), TunnelSettings(), (peer,), bytes)
    tunnel.connected(1 << 20, 0.0)
    return tunnel


def test_hello_and_open_as_text() -> None:
    a, b = started("A", "B", "a1", 3), started("B", "A", "b1", 4)
    (hello,) = b.messages_to_send(0.0)
    assert hello.subject == "DIMSE.A.B.hello"
    assert hello.parts == (
        b'{"instance":"b1","epoch":4,"version":"1.0","protocols":[1],"load":0,"limit":null,"accepts":true,'
        b'"going_away":false,"start":true,"window":4194304,"share":16777216,"interval":750}',
    )
    a.receive_message(hello.subject, bytes(hello.parts[0]), 0.0)
    a.messages_to_send(0.0)
    session = a.open_session("B", {"called": "PACS"}, 0.0)
    session.send_data(b"\x01\x00", 0.0)
    opened, data = a.messages_to_send(0.0)
    assert opened.subject == data.subject == "DIMSE.B.A.i.b1"
    assert opened.parts[1] == b'{"instance":"a1","limit":4194304,"info":{"called":"PACS"}}'
    assert data.parts[1] == b"\x01\x00"
