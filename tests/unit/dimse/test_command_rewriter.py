import pytest

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.rewrite import CommandRewriter, move_destination, move_originator
from tests.unit.dimse.messages import (
    command_bytes,
    echo_request,
    move_request,
    pdu,
    pdv,
    split_messages,
    split_pdus,
    store_request,
    us,
)

COMMAND, COMMAND_END, DATA, DATA_END = 1, 3, 0, 2
ALIAS = "ALIAS-OF-SCU1"
BEFORE = move_request(b"SCU1")
AFTER = move_request(b"ALIAS-OF-SCU1 ")


def to_alias(_context_id: int, command: CommandSet) -> CommandSet | None:
    return move_destination(command, ALIAS) if command.command_field is CommandField.C_MOVE_RQ else None


def to_same(_context_id: int, _command: CommandSet) -> CommandSet | None:
    return None


def aliasing(maximum_length: int = 16384, held_limit: int = 1 << 20) -> CommandRewriter:
    return CommandRewriter(to_alias, maximum_length, held_limit=held_limit)


def feed(rewriter: CommandRewriter, *data: bytes) -> bytes:
    return b"".join(bytes(part) for one in data for part in rewriter.feed(one))


def bytewise(rewriter: CommandRewriter, data: bytes) -> bytes:
    return feed(rewriter, *(data[i : i + 1] for i in range(len(data))))


def test_command_in_a_pdu_of_its_own() -> None:
    identifier = pdu(pdv(1, DATA_END, b"IDENTIFIER"))
    assert feed(aliasing(), pdu(pdv(1, COMMAND_END, BEFORE)) + identifier) == (
        pdu(pdv(1, COMMAND_END, AFTER)) + identifier
    )


def test_data_set_that_shares_the_pdu_follows_in_one_of_its_own() -> None:
    stream = pdu(pdv(1, COMMAND_END, BEFORE), pdv(1, DATA_END, b"IDENTIFIER"))
    expected = pdu(pdv(1, COMMAND_END, AFTER)) + pdu(pdv(1, DATA_END, b"IDENTIFIER"))
    assert feed(aliasing(), stream) == expected
    assert bytewise(aliasing(), stream) == expected


def test_data_set_streams_behind_a_command_that_was_rewritten() -> None:
    rewriter = aliasing()
    stream = pdu(pdv(1, COMMAND_END, BEFORE), pdv(1, DATA_END, bytes(1000)))
    identifier_begins = len(stream) - 1000
    assert feed(rewriter, stream[:identifier_begins]) == (
        pdu(pdv(1, COMMAND_END, AFTER)) + pdu(pdv(1, DATA_END, bytes(1000)))[:-1000]
    )
    assert feed(rewriter, stream[identifier_begins : identifier_begins + 1]) == b"\0"


@pytest.mark.parametrize(("maximum_length", "count"), [(8, 55), (64, 2), (115, 2), (116, 1), (128, 1)])
def test_three_pdvs_the_last_sharing_its_pdu_with_the_identifier_and_a_short_maximum(
    maximum_length: int, count: int
) -> None:
    first, second, third = BEFORE[:40], BEFORE[40:90], BEFORE[90:]
    stream = (
        pdu(pdv(1, COMMAND, first))
        + pdu(pdv(1, COMMAND, second))
        + pdu(pdv(1, COMMAND_END, third), pdv(1, DATA_END, b"IDENTIFIER"))
    )
    for out in (feed(aliasing(maximum_length), stream), bytewise(aliasing(maximum_length), stream)):
        assert split_messages(out) == [(1, 1, AFTER), (1, 0, b"IDENTIFIER")]
        *command, identifier = split_pdus(out)
        assert all(len(one) - 6 <= maximum_length for one in command)
        assert len(command) == count
        assert identifier == pdu(pdv(1, DATA_END, b"IDENTIFIER"))


def test_command_behind_the_end_of_a_data_set_in_one_pdu() -> None:
    head = pdu(pdv(3, COMMAND_END, store_request())) + pdu(pdv(3, DATA, b"DATA"))
    stream = head + pdu(pdv(3, DATA_END, b"SET."), pdv(1, COMMAND, BEFORE[:50])) + pdu(pdv(1, COMMAND_END, BEFORE[50:]))
    expected = head + pdu(pdv(3, DATA_END, b"SET.")) + pdu(pdv(1, COMMAND_END, AFTER))
    assert feed(aliasing(), stream) == expected
    assert bytewise(aliasing(), stream) == expected
    assert bytewise(CommandRewriter(to_same, 16384), stream) == stream


def test_several_messages_in_one_pdu() -> None:
    stream = pdu(
        pdv(1, COMMAND_END, echo_request()),
        pdv(1, COMMAND_END, BEFORE),
        pdv(1, DATA_END, b"ONE."),
        pdv(1, COMMAND_END, BEFORE),
        pdv(1, DATA, b"TW"),
        pdv(1, DATA_END, b"O."),
    )
    expected = (
        pdu(pdv(1, COMMAND_END, echo_request()))
        + pdu(pdv(1, COMMAND_END, AFTER))
        + pdu(pdv(1, DATA_END, b"ONE."))
        + pdu(pdv(1, COMMAND_END, AFTER))
        + pdu(pdv(1, DATA, b"TW"), pdv(1, DATA_END, b"O."))
    )
    assert feed(aliasing(), stream) == expected
    assert bytewise(aliasing(), stream) == expected


@pytest.mark.parametrize(
    "stream",
    [
        pdu(pdv(3, COMMAND_END, store_request()), pdv(3, DATA_END, b"DATA")),
        pdu(pdv(3, COMMAND, store_request()[:9])) + pdu(pdv(3, COMMAND_END, store_request()[9:])),
        pdu(pdv(3, DATA, b"DA"), pdv(3, DATA_END, b"TA")) + pdu(pdv(3, COMMAND_END, echo_request())),
        pdu(pdv(1, COMMAND_END, b"no command set")),
        pdu(pdv(1, COMMAND, b""), pdv(1, COMMAND_END, b"")) + pdu(pdv(1, DATA_END, b"")),
        pdu(),
    ],
    ids=["one PDU", "fragments", "data first", "not to be read", "empty fragments", "empty PDU"],
)
def test_what_is_not_rewritten_leaves_as_it_came(stream: bytes) -> None:
    assert feed(aliasing(), stream) == stream
    assert bytewise(aliasing(), stream) == stream


def test_rewrite_is_asked_once_for_each_command_in_order() -> None:
    asked: list[tuple[int, CommandField | None]] = []

    def ask(context_id: int, command: CommandSet) -> CommandSet | None:
        asked.append((context_id, command.command_field))
        return None

    stream = pdu(pdv(1, COMMAND, BEFORE[:8]), pdv(1, COMMAND_END, BEFORE[8:]), pdv(1, DATA_END, b"ID"))
    stream += pdu(pdv(5, COMMAND_END, echo_request()))
    bytewise(CommandRewriter(ask, 0), stream)
    assert asked == [(1, CommandField.C_MOVE_RQ), (5, CommandField.C_ECHO_RQ)]


def test_data_set_of_one_pdv_a_pdu_is_not_copied_nor_held() -> None:
    rewriter = aliasing()
    chunk = pdu(pdv(3, DATA, bytes(100))) * 10
    (part,) = rewriter.feed(chunk)
    assert isinstance(part, memoryview)
    assert part.obj is chunk
    stream = pdu(pdv(3, DATA, bytes(100)))
    sent = 0
    for count in range(1, len(stream) + 1):
        sent += len(feed(rewriter, stream[count - 1 : count]))
        assert sent == (count if count >= 12 else 0)


def test_command_is_held_until_it_is_complete() -> None:
    rewriter = CommandRewriter(to_same, 16384)
    stream = pdu(pdv(1, COMMAND_END, BEFORE))
    assert feed(rewriter, stream[:-1]) == b""
    assert feed(rewriter, stream[-1:]) == stream


def test_receiver_without_a_limit() -> None:
    assert feed(aliasing(0), pdu(pdv(1, COMMAND_END, BEFORE))) == pdu(pdv(1, COMMAND_END, AFTER))


def test_command_over_the_limit_leaves_as_it_came_and_the_next_is_rewritten() -> None:
    huge = command_bytes((0x0100, us(0x0021)), (0x0600, b"SCU1"), (0x4000, bytes(3000)))
    fragments = [huge[start : start + 100] for start in range(0, len(huge), 100)]
    stream = b"".join(pdu(pdv(1, COMMAND, fragment)) for fragment in fragments[:-1])
    stream += pdu(pdv(1, COMMAND_END, fragments[-1]))
    follows = pdu(pdv(1, COMMAND_END, BEFORE))
    for out in (
        feed(aliasing(held_limit=3000), stream + follows),
        bytewise(aliasing(held_limit=3000), stream + follows),
    ):
        assert out == stream + pdu(pdv(1, COMMAND_END, AFTER))


def test_command_over_the_limit_in_one_pdv_is_let_go_before_it_ends() -> None:
    huge = command_bytes((0x0100, us(0x0021)), (0x0600, b"SCU1"), (0x4000, bytes(3000)))
    stream = pdu(pdv(1, COMMAND_END, huge))
    rewriter = aliasing(held_limit=2000)
    assert feed(rewriter, stream[:2500]) == stream[:2500]
    assert feed(rewriter, stream[2500:] + pdu(pdv(1, COMMAND_END, BEFORE))) == (
        stream[2500:] + pdu(pdv(1, COMMAND_END, AFTER))
    )


def test_end_of_a_command_over_the_limit_is_not_taken_for_a_command() -> None:
    stream = pdu(pdv(1, COMMAND, bytes(3000))) + pdu(pdv(1, COMMAND_END, BEFORE))
    follows = pdu(pdv(1, COMMAND_END, BEFORE))
    assert feed(aliasing(held_limit=2000), stream + follows) == stream + pdu(pdv(1, COMMAND_END, AFTER))


def test_data_set_over_the_limit_before_a_command_in_one_pdu() -> None:
    stream = pdu(pdv(3, DATA_END, bytes(3000)), pdv(1, COMMAND_END, BEFORE), pdv(1, DATA_END, b"IDENTIFIER"))
    expected = (
        pdu(pdv(3, DATA_END, bytes(3000))) + pdu(pdv(1, COMMAND_END, AFTER)) + pdu(pdv(1, DATA_END, b"IDENTIFIER"))
    )
    rewriter = aliasing(held_limit=2000)
    assert bytewise(rewriter, stream) == expected
    assert rewriter._held_size == 0


def test_what_is_held_is_bounded_for_the_smallest_fragments_too() -> None:
    rewriter = aliasing(held_limit=10000)
    stream = b"".join(pdu(pdv(1, COMMAND, b"")) for _ in range(1000))
    out = b""
    for start in range(0, len(stream), 12):
        out += feed(rewriter, stream[start : start + 12])
        assert rewriter._held_size <= 10000
        assert len(rewriter._held) < 40
    assert out == stream


def test_fragments_that_another_message_interrupts_are_not_put_together() -> None:
    stream = (
        pdu(pdv(1, COMMAND, BEFORE[:50]))
        + pdu(pdv(3, COMMAND_END, BEFORE))
        + pdu(pdv(1, COMMAND_END, BEFORE[50:]))
        + pdu(pdv(1, COMMAND, BEFORE[:50]), pdv(1, DATA_END, b"DATA"))
        + pdu(pdv(1, COMMAND_END, BEFORE))
    )
    expected = (
        pdu(pdv(1, COMMAND, BEFORE[:50]))
        + pdu(pdv(3, COMMAND_END, AFTER))
        + pdu(pdv(1, COMMAND_END, BEFORE[50:]))
        + pdu(pdv(1, COMMAND, BEFORE[:50]), pdv(1, DATA_END, b"DATA"))
        + pdu(pdv(1, COMMAND_END, AFTER))
    )
    assert feed(aliasing(), stream) == expected
    assert bytewise(aliasing(), stream) == expected


def test_data_set_does_not_overtake_a_command_that_is_held() -> None:
    stream = pdu(pdv(1, COMMAND, BEFORE[:50])) + pdu(pdv(3, DATA_END, b"DATA")) + pdu(pdv(3, DATA_END, b"MORE"))
    assert feed(aliasing(), stream) == stream


def test_rest_of_a_header_is_not_taken_for_a_header() -> None:
    # From its fourth byte on, the stream looks like a PDU of one data set PDV.
    first = pdv(0, DATA, b"\x04" + bytes(0x805))
    stream = pdu(first, pdv(3, DATA_END, bytes(0x40008 - len(first) - 6)))
    assert stream[3:15] == bytes.fromhex("04 00 08 00 00 08 08 00 00 04 00 00")
    assert feed(aliasing(), stream[:3], stream[3:]) == stream


@pytest.mark.parametrize(
    "malformed",
    [
        b"\x05\0\0\0\0\x04\0\0\0\0",
        b"\x04\0\0\0\0\x20" + pdv(1, COMMAND_END, bytes(40)),
        b"\x04\0\0\0\0\x20" + b"\0\0\0\x01\x01\x03" + bytes(40),
        b"\x04\0\0\0\0\x04" + b"\0\0\0\x01\x01\x03" + bytes(40),
    ],
    ids=["no P-DATA-TF", "PDV beyond its PDU", "PDV too short for its header", "PDU too short for a PDV"],
)
def test_what_the_upper_layer_would_not_let_through_is_not_touched(malformed: bytes) -> None:
    stream = pdu(pdv(1, COMMAND, BEFORE[:50])) + malformed + pdu(pdv(1, COMMAND_END, BEFORE))
    assert feed(aliasing(), stream) == stream
    assert bytewise(aliasing(), stream) == stream


def test_flush_with_nothing_held() -> None:
    rewriter = aliasing()
    feed(rewriter, pdu(pdv(3, DATA, b"DATA")))
    assert rewriter.flush() == []
    assert feed(rewriter, pdu(pdv(1, COMMAND_END, BEFORE))) == pdu(pdv(1, COMMAND_END, AFTER))


@pytest.mark.parametrize("cut", [3, 9, 30, 200])
def test_flush_returns_what_is_held_as_it_came(cut: int) -> None:
    rewriter = aliasing()
    stream = pdu(pdv(1, COMMAND, BEFORE[:50])) * 3 + pdu(pdv(1, COMMAND_END, BEFORE))
    out = feed(rewriter, stream[:cut])
    assert out + b"".join(rewriter.flush()) == stream[:cut]
    assert feed(rewriter, stream[cut:]) == stream[cut:]


def test_move_originator() -> None:
    command = CommandSet.decode(store_request(originator=b"ALIAS-OF-SCU1 "))
    assert move_originator(command, "SCU1").encode() == store_request(originator=b"SCU1")


def test_title_that_is_none() -> None:
    with pytest.raises(ValueError, match="AE title"):
        move_destination(CommandSet.decode(BEFORE), "")
