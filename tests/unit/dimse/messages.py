"""Makes and takes apart P-DATA-TF PDUs for the tests of this package, with nothing of the package under test."""

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

PdvTuple = tuple[int, int, bytes]
"""Presentation context ID, message control header, fragment."""


class Message(NamedTuple):
    """What one end sends: a command and perhaps a data set."""

    context_id: int
    command: bytes
    data_set: bytes | None


def element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, tag, len(value)) + value


def us(value: int) -> bytes:
    return value.to_bytes(2, "little")


def command_bytes(*elements: tuple[int, bytes]) -> bytes:
    body = b"".join(element(tag, value) for tag, value in elements)
    return element(0, len(body).to_bytes(4, "little")) + body


def move_request(destination: bytes = b"SCU1", *, message_id: int = 7) -> bytes:
    return command_bytes(
        (0x0002, b"1.2.840.10008.5.1.4.1.2.2.2\0"),
        (0x0100, us(0x0021)),
        (0x0110, us(message_id)),
        (0x0600, destination),
        (0x0700, us(0)),
        (0x0800, us(0x0001)),
    )


def store_request(*, message_id: int = 1, originator: bytes | None = None) -> bytes:
    return command_bytes(
        (0x0002, b"1.2.840.10008.5.1.4.1.1.2\0"),
        (0x0100, us(0x0001)),
        (0x0110, us(message_id)),
        (0x0700, us(0)),
        (0x0800, us(0x0001)),
        (0x1000, b"1.2.826.0.1.3680043.8.498.1\0"),
        *(() if originator is None else ((0x1030, originator), (0x1031, us(7)))),
    )


def echo_request(*, message_id: int = 1) -> bytes:
    return command_bytes(
        (0x0002, b"1.2.840.10008.1.1\0"), (0x0100, us(0x0030)), (0x0110, us(message_id)), (0x0800, us(0x0101))
    )


def delete_request(*, message_id: int = 9) -> bytes:
    return command_bytes(
        (0x0003, b"1.2.840.10008.5.1.1.1\0"),
        (0x0100, us(0x0150)),
        (0x0110, us(message_id)),
        (0x0800, us(0x0101)),
        (0x1001, b"1.2.826.0.1.3680043.8.498.2\0"),
    )


def pdv(context_id: int, control: int, fragment: bytes) -> bytes:
    return struct.pack(">IBB", len(fragment) + 2, context_id, control) + fragment


def pdu(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BBI", 4, 0, len(body)) + body


def split_pdus(stream: bytes) -> list[bytes]:
    """Return the PDUs of a stream that must hold whole ones."""
    pdus = []
    position = 0
    while position < len(stream):
        pdu_type, _, length = struct.unpack_from(">BBI", stream, position)
        assert pdu_type == 4
        end = position + 6 + length
        assert length > 0
        assert end <= len(stream)
        pdus.append(stream[position:end])
        position = end
    return pdus


def split_pdvs(one_pdu: bytes) -> list[PdvTuple]:
    pdvs = []
    position = 6
    while position < len(one_pdu):
        length, context_id, control = struct.unpack_from(">IBB", one_pdu, position)
        end = position + 4 + length
        assert length >= 2
        assert end <= len(one_pdu)
        pdvs.append((context_id, control, one_pdu[position + 6 : end]))
        position = end
    return pdvs


def split_messages(stream: bytes) -> list[PdvTuple]:
    """Return command sets and data sets put together: context, 1 for a command and 0 for a data set, all fragments."""
    whole: list[PdvTuple] = []
    parts: list[bytes] = []
    open_key: tuple[int, int] | None = None
    for one_pdu in split_pdus(stream):
        for context_id, control, fragment in split_pdvs(one_pdu):
            key = context_id, control & 1
            assert open_key in (None, key)
            parts.append(fragment)
            open_key = key
            if control & 2:
                whole.append((*key, b"".join(parts)))
                parts = []
                open_key = None
    assert open_key is None
    return whole


def chunks(stream: bytes, sizes: Iterable[int]) -> Sequence[bytes]:
    """Cut a stream into chunks of these sizes, over and over again."""
    pieces = []
    position = 0
    while position < len(stream):
        for size in sizes:
            pieces.append(stream[position : position + size])
            position += size
    return pieces
