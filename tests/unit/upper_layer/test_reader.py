"""Cutting a stream: what comes out, in which order, from which chunks, and what is refused."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from dimse_proxy.errors import RemoteProtocolError
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd, PDataReceived, PdvMark
from dimse_proxy.upper_layer.reader import MAX_COMMAND_FRAGMENT_LENGTH, ControlBytes, PduReader, looks_like

RELEASE_RQ = bytes.fromhex("05 00 00000004 00000000")
ABORT = bytes.fromhex("07 00 00000004 00000200")
COMMAND, LAST_COMMAND, DATA, LAST_DATA = 1, 3, 0, 2

Piece = PDataReceived | ControlBytes


def pdv(context_id: int, message_control: int, fragment: bytes) -> bytes:
    return struct.pack(">IBB", len(fragment) + 2, context_id, message_control) + fragment


def p_data(*pdvs: bytes) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BxI", 4, len(body)) + body


def associate(pdu_type: int, length: int) -> bytes:
    return struct.pack(">BxI", pdu_type, length) + bytes(length)


def feed(reader: PduReader, *chunks: bytes) -> tuple[list[Piece], RemoteProtocolError | None]:
    pieces: list[Piece] = []
    try:
        for chunk in chunks:
            pieces.extend(reader.feed(chunk))
    except RemoteProtocolError as error:
        return pieces, error
    return pieces, None


def marks(pieces: list[Piece]) -> list[PdvMark]:
    return [mark for piece in pieces if isinstance(piece, PDataReceived) for mark in piece.marks]


def p_data_bytes(pieces: list[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces if isinstance(piece, PDataReceived))


def one_byte_each(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


@pytest.fixture
def reader() -> PduReader:
    return PduReader(accepted_contexts=[1, 3])


def refused(chunk: bytes, *, reason: int = 6) -> str:
    """Check that a reader refuses `chunk`, whole and byte by byte, and return why."""
    _, whole = feed(PduReader(accepted_contexts=[1, 3]), chunk)
    _, split = feed(PduReader(accepted_contexts=[1, 3]), *one_byte_each(chunk))
    assert whole is not None
    assert split is not None
    assert (whole.source, whole.reason) == (split.source, split.reason) == (2, reason)
    assert str(whole) == str(split)
    return str(whole)


# P-DATA.


def test_a_chunk_of_p_data_comes_out_as_the_same_object(reader: PduReader) -> None:
    chunk = p_data(pdv(1, DATA, b"abc")) * 3
    [piece] = reader.feed(chunk)
    assert isinstance(piece, PDataReceived)
    assert piece.data is chunk
    assert piece.marks == ()
    assert not reader.inside_pdu


def test_chunks_that_end_anywhere_in_a_data_set(reader: PduReader) -> None:
    stream = p_data(pdv(1, DATA, bytes(100))) * 10 + p_data(pdv(1, LAST_DATA, bytes(50)))
    pieces, _ = feed(reader, *(stream[start : start + 250] for start in range(0, len(stream), 250)))
    assert len(pieces) == 5
    assert p_data_bytes(pieces) == stream
    assert marks(pieces) == [DataSetEnd(context_id=1, length=1050)]


def test_a_memoryview_comes_out_as_the_same_object(reader: PduReader) -> None:
    chunk = memoryview(p_data(pdv(1, LAST_COMMAND, b"abc"), pdv(1, DATA, b"x")))
    [piece] = reader.feed(chunk)
    assert isinstance(piece, PDataReceived)
    assert piece.data is chunk
    assert piece.marks == (CommandFragment(context_id=1, data=b"abc", is_last=True),)


def test_no_byte_is_held_back(reader: PduReader) -> None:
    for byte in one_byte_each(p_data(pdv(1, DATA, b"abc"))):
        [piece] = reader.feed(byte)
        assert isinstance(piece, PDataReceived)
        assert piece.data is byte


def test_inside_pdu_is_true_from_the_first_byte_to_the_last_but_one(reader: PduReader) -> None:
    seen = []
    for byte in one_byte_each(p_data(pdv(1, DATA, b"abc"))):
        list(reader.feed(byte))
        seen.append(reader.inside_pdu)
    assert seen == [True] * 14 + [False]


def test_marks_of_a_message(reader: PduReader) -> None:
    chunk = p_data(pdv(1, COMMAND, b"one")) + p_data(pdv(1, LAST_COMMAND, b"two"), pdv(1, DATA, b"data"))
    pieces, _ = feed(reader, chunk, p_data(pdv(1, DATA, b"more")), p_data(pdv(1, LAST_DATA, b"end")))
    assert marks(pieces) == [
        CommandFragment(context_id=1, data=b"one", is_last=False),
        CommandFragment(context_id=1, data=b"two", is_last=True),
        DataSetEnd(context_id=1, length=11),
    ]


def test_a_mark_belongs_to_the_chunk_that_completes_it(reader: PduReader) -> None:
    pdu = p_data(pdv(1, LAST_COMMAND, b"command"))
    [first] = reader.feed(pdu[:-1])
    [second] = reader.feed(pdu[-1:])
    assert isinstance(first, PDataReceived)
    assert isinstance(second, PDataReceived)
    assert first.marks == ()
    assert second.marks == (CommandFragment(context_id=1, data=b"command", is_last=True),)


def test_an_empty_last_pdv_ends_a_data_set(reader: PduReader) -> None:
    pieces, _ = feed(reader, p_data(pdv(1, DATA, b"abcd")), p_data(pdv(1, LAST_DATA, b"")))
    assert marks(pieces) == [DataSetEnd(context_id=1, length=4)]


def test_lengths_are_counted_by_context_and_since_the_last_end(reader: PduReader) -> None:
    pieces, _ = feed(
        reader,
        p_data(pdv(1, DATA, b"12345")) * 2 + p_data(pdv(3, DATA, b"1")) + p_data(pdv(1, DATA, b"12345")),
        p_data(pdv(3, LAST_DATA, b"2")) + p_data(pdv(1, LAST_DATA, b"")),
        p_data(pdv(1, LAST_DATA, b"123")),
    )
    assert marks(pieces) == [
        DataSetEnd(context_id=3, length=2),
        DataSetEnd(context_id=1, length=15),
        DataSetEnd(context_id=1, length=3),
    ]


def test_reserved_bits_of_the_message_control_header_are_tolerated(reader: PduReader) -> None:
    pieces, error = feed(reader, p_data(pdv(1, 0xFC | LAST_COMMAND, b"c")), p_data(pdv(1, 0xF0 | LAST_DATA, b"d")))
    assert error is None
    assert marks(pieces) == [
        CommandFragment(context_id=1, data=b"c", is_last=True),
        DataSetEnd(context_id=1, length=1),
    ]


def test_p_data_of_any_length_passes_in_parts_of_a_pdu() -> None:
    # No announced maximum length is known here: the end points decide about that.
    reader = PduReader(accepted_contexts=[1])
    head = struct.pack(">BxIIBB", 4, 0xFFFF_FFFE, 0xFFFF_FFFA, 1, DATA)
    pieces, error = feed(reader, head, bytes(1000), bytes(1000))
    assert error is None
    assert len(p_data_bytes(pieces)) == 2012
    assert reader.inside_pdu


def test_what_pynetdicom_encodes(reader: PduReader) -> None:
    primitive = P_DATA()
    # pynetdicom's annotation says tuples, its setter takes nothing but lists.
    pdvs: list[Any] = [[1, b"\x03command"], [1, b"\x00data"], [3, b"\x02last"]]
    primitive.presentation_data_value_list = pdvs
    [piece] = reader.feed(P_DATA_TF(primitive).encode())
    assert isinstance(piece, PDataReceived)
    assert piece.marks == (
        CommandFragment(context_id=1, data=b"command", is_last=True),
        DataSetEnd(context_id=3, length=4),
    )


# Other PDUs.


def test_other_pdus_come_out_whole_and_in_order(reader: PduReader) -> None:
    accept = associate(2, 100)
    first, second = p_data(pdv(1, DATA, b"a")), p_data(pdv(1, DATA, b"b"))
    pieces = list(reader.feed(accept + first + RELEASE_RQ + second + ABORT))
    assert [type(piece) for piece in pieces] == [
        ControlBytes,
        PDataReceived,
        ControlBytes,
        PDataReceived,
        ControlBytes,
    ]
    assert [piece.raw for piece in pieces if isinstance(piece, ControlBytes)] == [accept, RELEASE_RQ, ABORT]
    assert p_data_bytes(pieces) == first + second


def test_p_data_beside_another_pdu_is_a_view_of_the_chunk(reader: PduReader) -> None:
    chunk = p_data(pdv(1, DATA, b"a")) + RELEASE_RQ
    piece, _ = reader.feed(chunk)
    assert isinstance(piece, PDataReceived)
    assert isinstance(piece.data, memoryview)
    assert piece.data.obj is chunk


def test_another_pdu_waits_for_its_last_byte(reader: PduReader) -> None:
    for byte in one_byte_each(RELEASE_RQ[:-1]):
        assert list(reader.feed(byte)) == []
        assert not reader.inside_pdu
    assert list(reader.feed(RELEASE_RQ[-1:])) == [ControlBytes(raw=RELEASE_RQ)]


def test_p_data_before_an_unfinished_pdu_is_not_held_back(reader: PduReader) -> None:
    pdu = p_data(pdv(1, DATA, b"a"))
    [piece] = reader.feed(pdu + RELEASE_RQ[:3])
    assert isinstance(piece, PDataReceived)
    assert piece.data == pdu
    assert not reader.inside_pdu


def test_an_associate_pdu_may_have_no_body(reader: PduReader) -> None:
    assert list(reader.feed(associate(1, 0))) == [ControlBytes(raw=associate(1, 0))]


def test_the_limit_of_associate_pdus() -> None:
    longest = associate(1, 1000)
    assert list(PduReader(accepted_contexts=None, max_associate_length=1000).feed(longest)) == [
        ControlBytes(raw=longest)
    ]
    with pytest.raises(RemoteProtocolError, match=r"A-ASSOCIATE-AC with a length of 1001, over the limit of 1000"):
        list(PduReader(accepted_contexts=None, max_associate_length=1000).feed(associate(2, 1001)[:6]))


def test_the_default_limit_is_1_mib(reader: PduReader) -> None:
    _, error = feed(reader, struct.pack(">BxI", 1, (1 << 20) + 1))
    assert error is not None
    assert error.reason == 6
    assert feed(PduReader(accepted_contexts=None), associate(1, 1 << 20))[1] is None


# What is refused.


@pytest.mark.parametrize("first", [0x00, 0x08, 0x16, 0x47, 0xFF])
def test_an_unknown_type_is_refused_at_its_first_byte(first: int) -> None:
    assert refused(bytes([first]), reason=1) == f"{first:02X}H is not a type of PDU"


@pytest.mark.parametrize("pdu_type", [3, 5, 6, 7])
@pytest.mark.parametrize("length", [0, 3, 5, 0xFFFF_FFFF])
def test_a_fixed_length_is_judged_at_the_header(pdu_type: int, length: int) -> None:
    assert f"with a length of {length} instead of 4" in refused(struct.pack(">BxI", pdu_type, length))


@pytest.mark.parametrize("length", range(6))
def test_p_data_too_short_for_a_pdv(length: int) -> None:
    assert refused(struct.pack(">BxI", 4, length)) == f"P-DATA-TF with a length of {length} has no PDV"


@pytest.mark.parametrize("length", [0, 1])
def test_a_pdv_too_short_for_its_header(length: int) -> None:
    assert "has no header" in refused(struct.pack(">BxIIBB", 4, 6, length, 1, 0))


def test_a_pdv_that_runs_over_its_pdu() -> None:
    assert "in the last 10 bytes" in refused(struct.pack(">BxIIBB", 4, 10, 7, 1, 0))


@pytest.mark.parametrize("rest", range(1, 6))
def test_bytes_behind_the_last_pdv(rest: int) -> None:
    body = pdv(1, DATA, b"ab") + bytes(rest)
    assert refused(struct.pack(">BxI", 4, len(body)) + body) == f"P-DATA-TF with {rest} bytes behind its last PDV"


def test_a_context_that_was_not_accepted() -> None:
    assert "presentation context 5" in refused(p_data(pdv(1, DATA, b"ab")) + p_data(pdv(5, DATA, b"ab")))


def test_a_command_fragment_without_end() -> None:
    length = MAX_COMMAND_FRAGMENT_LENGTH + 1
    assert "of a command set" in refused(struct.pack(">BxIIBB", 4, length + 6, length + 2, 1, COMMAND))
    longest = p_data(pdv(1, LAST_COMMAND, bytes(MAX_COMMAND_FRAGMENT_LENGTH)))
    assert feed(PduReader(accepted_contexts=[1]), longest)[1] is None


def test_without_validation_contexts_are_not_looked_at_but_lengths_are() -> None:
    pieces, error = feed(PduReader(accepted_contexts=None), p_data(pdv(77, LAST_DATA, b"ab")))
    assert error is None
    assert marks(pieces) == [DataSetEnd(context_id=77, length=2)]
    for chunk in (struct.pack(">BxI", 4, 0), struct.pack(">BxIIBB", 4, 10, 7, 1, 0), b"\x00"):
        assert feed(PduReader(accepted_contexts=None), chunk)[1] is not None


def test_good_pieces_before_an_error_come_first(reader: PduReader) -> None:
    good = p_data(pdv(1, LAST_COMMAND, b"ab")) + p_data(pdv(1, DATA, b"ab"))
    pieces, error = feed(reader, good + p_data(pdv(1, LAST_COMMAND, b"not this"), pdv(5, DATA, b"ab")))
    assert error is not None
    assert p_data_bytes(pieces) == good
    assert marks(pieces) == [CommandFragment(context_id=1, data=b"ab", is_last=True)]
    assert not reader.inside_pdu


def test_of_a_faulty_pdu_only_earlier_chunks_have_come_out(reader: PduReader) -> None:
    pdu = p_data(pdv(1, DATA, b"abcd"), pdv(5, DATA, b"ab"))
    pieces, error = feed(reader, pdu[:14], pdu[14:])
    assert error is not None
    assert p_data_bytes(pieces) == pdu[:14]
    assert reader.inside_pdu


def test_an_error_lasts(reader: PduReader) -> None:
    _, error = feed(reader, b"\x00")
    with pytest.raises(RemoteProtocolError) as again:
        list(reader.feed(RELEASE_RQ))
    assert again.value is error


def test_contexts_may_be_accepted_between_two_pieces_of_a_chunk() -> None:
    reader = PduReader(accepted_contexts=[])
    pieces = reader.feed(associate(2, 10) + p_data(pdv(3, DATA, b"a")))
    assert isinstance(next(pieces), ControlBytes)
    reader.accepted_contexts = {3: "a mapping will do"}
    assert isinstance(next(pieces), PDataReceived)


def test_accepted_contexts_are_those_that_were_set(reader: PduReader) -> None:
    assert reader.accepted_contexts == {1, 3}
    reader.accepted_contexts = None
    assert reader.accepted_contexts is None


def test_contexts_may_be_taken_back_while_a_data_set_is_under_way(reader: PduReader) -> None:
    chunk = p_data(pdv(1, DATA, b"a"))
    assert feed(reader, chunk, chunk)[1] is None
    reader.accepted_contexts = [3]
    assert feed(reader, chunk)[1] is not None


# What else it may be.


@pytest.mark.parametrize(
    ("first_bytes", "look"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", "an HTTP request"),
        (b"OPTIONS * HTTP/1.1", "an HTTP request"),
        (b"HTTP/1.1 400 Bad Request", "an HTTP response"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "an HTTP/2 connection"),
        (bytes.fromhex("16 03 01 02 00 01"), "a TLS handshake"),
        (bytes.fromhex("15 03 03 00 02 02 28"), "a TLS alert"),
        (b"SSH-2.0-OpenSSH_9.6", "an SSH banner"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n", "PROXY protocol, version 1"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11", "PROXY protocol, version 2"),
        (b"\x0bMSH|^~\\&|", "an HL7 message (MLLP)"),
        (b'INFO {"server_id":', "a NATS server"),
        (b"220 ready", "an FTP or SMTP banner"),
        (b"", None),
        (b"G", None),
        (bytes(20), None),
        (RELEASE_RQ, None),
        (associate(1, 20), None),
    ],
)
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_looks_like(first_bytes: bytes, look: str | None, kind: Callable[[bytes], bytes | memoryview]) -> None:
    assert looks_like(kind(first_bytes)) == look
