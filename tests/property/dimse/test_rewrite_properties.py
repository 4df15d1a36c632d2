"""The rewriting stage, whatever the framing and wherever the bytes are cut."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.rewrite import CommandRewriter, move_destination
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd, PDataReceived
from dimse_proxy.upper_layer.reader import PduReader
from tests.unit.dimse.messages import (
    Message,
    chunks,
    echo_request,
    move_request,
    pdu,
    pdv,
    split_messages,
    split_pdus,
    store_request,
)

MAXIMUM_LENGTH = 100
"""Shorter than the rewritten command."""
ALIAS = "ALIAS-16-LETTERS"

_COMMANDS = st.sampled_from(
    [
        echo_request(),
        move_request(b"SCU1"),
        move_request(b"SIXTEEN-LETTERS-"),
        store_request(),
        b"\x08\0\0\0no command set",
    ]
)
_MESSAGES = st.lists(
    st.builds(
        Message,
        context_id=st.sampled_from([1, 3, 255]),
        command=_COMMANDS,
        data_set=st.one_of(st.none(), st.binary(max_size=300)),
    ),
    min_size=1,
    max_size=5,
)
_CHUNK_SIZES = st.lists(st.integers(1, 400), min_size=1, max_size=8)
_SIZES = st.lists(st.integers(0, 94), min_size=1, max_size=8).filter(any)


def _pdvs(message: Message, sizes: list[int]) -> list[bytes]:
    """Cut a message into PDVs of these sizes, over and over again."""
    pdvs = []
    for data, is_command in ((message.command, 1), (message.data_set, 0)):
        if data is None:
            continue
        fragments = list(chunks(data, sizes)) or [b""]
        for number, fragment in enumerate(fragments):
            is_last = number == len(fragments) - 1
            pdvs.append(pdv(message.context_id, is_command | (2 if is_last else 0), fragment))
    return pdvs


@st.composite
def _streams(draw: st.DrawFn) -> tuple[list[Message], bytes]:
    """Messages, and PDUs of up to MAXIMUM_LENGTH that hold them, of one or several PDVs each."""
    messages = draw(_MESSAGES)
    sizes = draw(_SIZES)
    fill = draw(st.lists(st.integers(0, MAXIMUM_LENGTH), min_size=1, max_size=5))
    pdus: list[list[bytes]] = []
    for one in (part for message in messages for part in _pdvs(message, sizes)):
        if pdus and len(b"".join(pdus[-1])) + len(one) <= fill[len(pdus) % len(fill)]:
            pdus[-1].append(one)
        else:
            pdus.append([one])
    return messages, b"".join(pdu(*parts) for parts in pdus)


def _to_alias(_context_id: int, command: CommandSet) -> CommandSet | None:
    return move_destination(command, ALIAS) if command.command_field is CommandField.C_MOVE_RQ else None


def _expected(messages: list[Message]) -> list[tuple[int, int, bytes]]:
    expected = []
    for message in messages:
        is_move = message.command[:2] == b"\0\0" and b"\x00\x01\x02\0\0\0\x21\0" in message.command
        expected.append((message.context_id, 1, move_request(ALIAS.encode()) if is_move else message.command))
        if message.data_set is not None:
            expected.append((message.context_id, 0, message.data_set))
    return expected


def _rewritten(stream: bytes, sizes: list[int], held_limit: int = 1 << 20) -> bytes:
    rewriter = CommandRewriter(_to_alias, MAXIMUM_LENGTH, held_limit=held_limit)
    out = b"".join(bytes(part) for chunk in chunks(stream, sizes) for part in rewriter.feed(chunk))
    assert rewriter.flush() == []
    return out


@given(stream=_streams(), sizes=_CHUNK_SIZES)
@settings(deadline=None, max_examples=150)
def test_nothing_rewritten_is_nothing_changed(stream: tuple[list[Message], bytes], sizes: list[int]) -> None:
    rewriter = CommandRewriter(lambda _context_id, _command: None, MAXIMUM_LENGTH)
    out = b"".join(bytes(part) for chunk in chunks(stream[1], sizes) for part in rewriter.feed(chunk))
    assert out == stream[1]


@given(stream=_streams(), sizes=_CHUNK_SIZES)
@settings(deadline=None, max_examples=150)
def test_only_the_move_destination_changes(stream: tuple[list[Message], bytes], sizes: list[int]) -> None:
    messages, sent = stream
    out = _rewritten(sent, sizes)
    assert split_messages(out) == _expected(messages)
    assert all(len(one) - 6 <= MAXIMUM_LENGTH for one in split_pdus(out))


@given(stream=_streams(), sizes=_CHUNK_SIZES)
@settings(deadline=None, max_examples=100)
def test_where_the_bytes_are_cut_makes_no_difference(stream: tuple[list[Message], bytes], sizes: list[int]) -> None:
    assert _rewritten(stream[1], sizes) == _rewritten(stream[1], [len(stream[1])])


@given(stream=_streams(), sizes=_CHUNK_SIZES, held_limit=st.integers(0, 3000))
@settings(deadline=None, max_examples=150)
def test_over_the_limit_messages_are_whole_and_each_rewritten_or_not(
    stream: tuple[list[Message], bytes], sizes: list[int], held_limit: int
) -> None:
    messages, sent = stream
    out = _rewritten(sent, sizes, held_limit)
    got = split_messages(out)
    unchanged = split_messages(sent)
    assert len(got) == len(unchanged)
    for one, before, after in zip(got, unchanged, _expected(messages), strict=True):
        assert one in (before, after)
    assert all(len(one) - 6 <= MAXIMUM_LENGTH for one in split_pdus(out))


@given(stream=_streams(), sizes=_CHUNK_SIZES)
@settings(deadline=None, max_examples=50)
def test_own_reader_finds_the_same(stream: tuple[list[Message], bytes], sizes: list[int]) -> None:
    messages, sent = stream
    reader = PduReader(accepted_contexts={1, 3, 255})
    got: list[tuple[int, int, bytes | int]] = []
    parts: list[bytes] = []
    for chunk in chunks(_rewritten(sent, sizes), sizes):
        for piece in reader.feed(chunk):
            assert isinstance(piece, PDataReceived)
            for mark in piece.marks:
                if isinstance(mark, DataSetEnd):
                    got.append((mark.context_id, 0, mark.length))
                    continue
                assert isinstance(mark, CommandFragment)
                parts.append(mark.data)
                if mark.is_last:
                    got.append((mark.context_id, 1, b"".join(parts)))
                    parts = []
    assert not reader.inside_pdu
    assert got == [
        (context_id, is_command, data if is_command else len(data))
        for context_id, is_command, data in _expected(messages)
    ]


@given(
    destination=st.sampled_from([b"SCU1", b"SIXTEEN-LETTERS-"]),
    identifier=st.binary(min_size=2, max_size=200),
    pdv_sizes=_SIZES,
    chunk_sizes=_CHUNK_SIZES,
)
@settings(deadline=None, max_examples=30)
def test_pynetdicom_reads_the_rewritten_request(
    destination: bytes, identifier: bytes, pdv_sizes: list[int], chunk_sizes: list[int]
) -> None:
    sent = pdu(*_pdvs(Message(3, move_request(destination), identifier), pdv_sizes))
    message = DIMSEMessage()
    finished = []
    for one in split_pdus(_rewritten(sent, chunk_sizes)):
        theirs = P_DATA_TF()
        theirs.decode(one)
        for value in theirs.to_primitive().presentation_data_value_list:
            primitive = P_DATA()
            primitive.presentation_data_value_list.append(value)
            finished.append(message.decode_msg(primitive))
    assert finished[-1]
    assert not any(finished[:-1])
    assert message.context_id == 3
    assert message.command_set.MoveDestination == ALIAS
    assert message.command_set.MessageID == 7
    assert message.command_set.CommandGroupLength == len(move_request(ALIAS.encode())) - 12
    assert message.data_set is not None
    assert message.data_set.getvalue() == identifier
