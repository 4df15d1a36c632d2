"""Swallowing and inserting, whatever the framing and wherever the bytes are cut."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.rewrite import SWALLOW, CommandRewriter, Verdict
from tests.property.dimse.test_rewrite_properties import _CHUNK_SIZES, MAXIMUM_LENGTH, _streams
from tests.unit.dimse.messages import Message, chunks, pdu, pdv, split_messages, split_pdus

OURS = b"a message of our own"


def _ours() -> list[bytes]:
    return [pdu(pdv(7, 1, OURS[:10])), pdu(pdv(7, 3, OURS[10:]))]


def _no_store(_context_id: int, command: CommandSet) -> Verdict | None:
    return SWALLOW if command.command_field is CommandField.C_STORE_RQ else None


def _announces(message: Message) -> bool:
    """Whether the command can be read and announces a data set; streams may hold what does not fit together."""
    return b"\x00\x08\x02\0\0\0\x01\0" in message.command


def _expected(messages: list[Message]) -> list[tuple[int, int, bytes]]:
    expected = []
    for message in messages:
        is_store = message.command[:2] == b"\0\0" and b"\x00\x01\x02\0\0\0\x01\0" in message.command
        if not is_store:
            expected.append((message.context_id, 1, message.command))
        if message.data_set is not None and not is_store:
            expected.append((message.context_id, 0, message.data_set))
    return expected


def _passed(rewriter: CommandRewriter, stream: bytes, sizes: list[int]) -> bytes:
    out = b"".join(bytes(part) for chunk in chunks(stream, sizes) for part in rewriter.feed(chunk))
    return out + b"".join(bytes(part) for part in rewriter.flush())


def _consistent(messages: list[Message]) -> bool:
    """A swallowed command that announced a data set which then belongs to no command would swallow a later one."""
    return all((message.data_set is not None) == _announces(message) for message in messages if message.command[0] == 0)


@given(stream=_streams(), sizes=_CHUNK_SIZES)
@settings(deadline=None, max_examples=200)
def test_swallowed_messages_vanish_and_all_others_stay(stream: tuple[list[Message], bytes], sizes: list[int]) -> None:
    messages, sent = stream
    out = _passed(CommandRewriter(_no_store, MAXIMUM_LENGTH), sent, sizes)
    got = split_messages(out)
    if _consistent(messages):
        assert got == _expected(messages)
    assert not any(is_command and b"\x00\x01\x02\0\0\0\x01\0" in data for _, is_command, data in got)
    assert all(len(one) - 6 <= MAXIMUM_LENGTH for one in split_pdus(out))


@given(stream=_streams(), sizes=_CHUNK_SIZES)
@settings(deadline=None, max_examples=100)
def test_where_the_bytes_are_cut_swallows_the_same(stream: tuple[list[Message], bytes], sizes: list[int]) -> None:
    sent = stream[1]
    assert _passed(CommandRewriter(_no_store, MAXIMUM_LENGTH), sent, sizes) == _passed(
        CommandRewriter(_no_store, MAXIMUM_LENGTH), sent, [len(sent)]
    )


@given(stream=_streams(), sizes=_CHUNK_SIZES, when=st.sets(st.integers(0, 20), min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_what_is_inserted_stands_between_messages_and_changes_nothing_else(
    stream: tuple[list[Message], bytes], sizes: list[int], when: set[int]
) -> None:
    _, sent = stream
    rewriter = CommandRewriter(lambda _context_id, _command: None, MAXIMUM_LENGTH)
    out = b""
    inserted = 0
    for number, chunk in enumerate(chunks(sent, sizes)):
        out += b"".join(bytes(part) for part in rewriter.feed(chunk))
        if number in when:
            rewriter.insert(_ours())
            inserted += 1
            out += b"".join(bytes(part) for part in rewriter.feed(b""))
    out += b"".join(bytes(part) for part in rewriter.flush())
    got = split_messages(out)
    assert got.count((7, 1, OURS)) == inserted
    assert [one for one in got if one[0] != 7] == split_messages(sent)
