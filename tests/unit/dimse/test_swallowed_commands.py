"""Messages that must not pass, messages of our own between two others, and what a strict stage does not let through."""

import pytest

from dimse_proxy.dimse.command_set import CommandField, CommandSet
from dimse_proxy.dimse.rewrite import SWALLOW, CommandRewriter, Rewrite
from dimse_proxy.errors import RemoteProtocolError
from tests.unit.dimse.messages import (
    delete_request,
    echo_request,
    move_request,
    pdu,
    pdv,
    split_messages,
    store_request,
)

COMMAND, COMMAND_END, DATA, DATA_END = 1, 3, 0, 2
OURS = [pdu(pdv(9, COMMAND, b"OU")), pdu(pdv(9, COMMAND_END, b"RS"))]
STORE = pdu(pdv(1, COMMAND_END, store_request()))
ECHO = pdu(pdv(3, COMMAND_END, echo_request()))


def no_store(_context_id: int, command: CommandSet) -> object:
    return SWALLOW if command.command_field is CommandField.C_STORE_RQ else None


def stage(rule: object = no_store, *, strict: bool = False, held_limit: int = 1 << 20) -> CommandRewriter:
    chosen: Rewrite = rule  # type: ignore[assignment]
    return CommandRewriter(chosen, 16384, strict=strict, held_limit=held_limit)


def feed(rewriter: CommandRewriter, *data: bytes) -> bytes:
    return b"".join(bytes(part) for one in data for part in rewriter.feed(one))


def bytewise(rewriter: CommandRewriter, data: bytes) -> bytes:
    return feed(rewriter, *(data[i : i + 1] for i in range(len(data))))


def passing() -> CommandRewriter:
    return stage(lambda _context_id, _command: None, strict=True)


@pytest.mark.parametrize(
    "swallowed",
    [
        STORE + pdu(pdv(1, DATA_END, b"DATA")),
        pdu(pdv(1, COMMAND_END, store_request()), pdv(1, DATA_END, b"DATA")),
        pdu(pdv(1, COMMAND_END, store_request()), pdv(1, DATA, b"DA"), pdv(1, DATA, b"TA"))
        + pdu(pdv(1, DATA_END, b"")),
        pdu(pdv(1, COMMAND, store_request()[:40]))
        + pdu(pdv(1, COMMAND_END, store_request()[40:]), pdv(1, DATA, b"D"))
        + pdu(pdv(1, DATA, bytes(5000)))
        + pdu(pdv(1, DATA_END, b"ATA")),
    ],
)
def test_a_swallowed_message_vanishes_with_its_data_set(swallowed: bytes) -> None:
    assert feed(stage(), ECHO + swallowed + ECHO) == ECHO + ECHO
    assert bytewise(stage(), ECHO + swallowed + ECHO) == ECHO + ECHO


def test_what_shares_a_pdu_with_a_swallowed_message_passes() -> None:
    stream = pdu(
        pdv(3, COMMAND_END, echo_request()),
        pdv(1, COMMAND_END, store_request()),
        pdv(1, DATA_END, b"DATA"),
        pdv(3, COMMAND_END, echo_request()),
    )
    assert feed(stage(), stream) == ECHO + ECHO
    assert bytewise(stage(), stream) == ECHO + ECHO


def test_the_data_set_of_another_message_in_the_same_pdu_passes() -> None:
    stream = STORE + pdu(pdv(1, DATA, b"gone"), pdv(1, DATA_END, b"gone"), pdv(5, COMMAND_END, move_request()))
    stream += pdu(pdv(5, DATA_END, b"IDENTIFIER"))
    expected = pdu(pdv(5, COMMAND_END, move_request())) + pdu(pdv(5, DATA_END, b"IDENTIFIER"))
    assert feed(stage(), stream) == expected
    assert bytewise(stage(), stream) == expected


def test_a_large_data_set_is_dropped_as_it_comes() -> None:
    rewriter = stage(held_limit=4096)
    head = STORE + pdu(pdv(1, DATA, b"x"), pdv(1, DATA_END, bytes(1 << 20)))
    for start in range(0, len(head), 1000):
        assert feed(rewriter, head[start : start + 1000]) == b""
        assert rewriter._held_size <= 4096
    assert feed(rewriter, ECHO) == ECHO


def test_a_data_set_that_never_came_swallows_nothing_else() -> None:
    other = pdu(pdv(1, COMMAND_END, move_request())) + pdu(pdv(1, DATA_END, b"IDENTIFIER"))
    assert feed(stage(), STORE + other) == other


def test_a_message_without_data_set_is_swallowed_alone() -> None:
    def no_delete(_context_id: int, command: CommandSet) -> object:
        return SWALLOW if command.command_field is CommandField.N_DELETE_RQ else None

    rest = pdu(pdv(1, DATA_END, b"stray"))
    assert feed(stage(no_delete), pdu(pdv(1, COMMAND_END, delete_request())) + rest + ECHO) == rest + ECHO


def test_ours_goes_out_at_once_when_nothing_is_on_its_way() -> None:
    rewriter = passing()
    assert not rewriter.is_waiting
    rewriter.insert(OURS)
    assert feed(rewriter, b"") == b"".join(OURS)
    assert not rewriter.is_waiting
    assert feed(rewriter, ECHO) == ECHO


@pytest.mark.parametrize("cut", [1, 5, 7, 12, 40, 118, 130, 140, 160])
def test_ours_waits_for_the_end_of_the_message_that_is_on_its_way(cut: int) -> None:
    message = STORE + pdu(pdv(1, DATA, b"DATA")) + pdu(pdv(1, DATA_END, b"SET."))
    rewriter = passing()
    before = feed(rewriter, message[:cut])
    rewriter.insert(OURS)
    after = feed(rewriter, message[cut:], ECHO)
    out = before + after
    assert out in (b"".join(OURS) + message + ECHO, message + b"".join(OURS) + ECHO)
    assert out.startswith(message) or not before


def test_ours_is_placed_within_one_chunk_behind_the_data_set_in_it() -> None:
    rewriter = passing()
    assert feed(rewriter, STORE) == STORE
    rewriter.insert(OURS)
    data_set = pdu(pdv(1, DATA, bytes(100))) + pdu(pdv(1, DATA_END, bytes(100)))
    assert feed(rewriter, data_set + ECHO) == data_set + b"".join(OURS) + ECHO


def test_ours_is_not_put_between_the_parts_of_a_command() -> None:
    rewriter = passing()
    first, second = pdu(pdv(3, COMMAND, echo_request()[:20])), pdu(pdv(3, COMMAND_END, echo_request()[20:]))
    assert feed(rewriter, first) == b""
    rewriter.insert(OURS)
    assert feed(rewriter, b"") == b""
    assert feed(rewriter, second) == first + second + b"".join(OURS)


def test_ours_goes_out_while_a_data_set_is_swallowed() -> None:
    rewriter = stage(strict=True)
    assert feed(rewriter, STORE, pdu(pdv(1, DATA, b"DATA"))) == b""
    rewriter.insert(OURS)
    assert feed(rewriter, pdu(pdv(1, DATA, b"DATA"))) == b"".join(OURS)


def test_a_flush_brings_ours_out_when_the_rest_of_a_message_does_not_come() -> None:
    rewriter = passing()
    assert feed(rewriter, STORE) == STORE
    rewriter.insert(OURS)
    assert feed(rewriter, b"") == b""
    assert b"".join(bytes(part) for part in rewriter.flush()) == b"".join(OURS)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(pdu(pdv(1, COMMAND_END, b"no command set")), id="no command set"),
        pytest.param(pdu(pdv(1, COMMAND_END, echo_request() + echo_request()[12:])), id="elements twice"),
        pytest.param(
            pdu(pdv(1, COMMAND, echo_request()[:9])) + pdu(pdv(3, COMMAND_END, echo_request())), id="another command"
        ),
        pytest.param(pdu(pdv(1, COMMAND, echo_request()[:9])) + pdu(pdv(1, DATA_END, b"DATA")), id="a data set"),
        pytest.param(pdu(pdv(1, COMMAND, bytes(3000))) + pdu(pdv(1, COMMAND, bytes(3000))), id="too long"),
        pytest.param(b"\x05\0\0\0\0\x04\0\0\0\0", id="no P-DATA-TF"),
        pytest.param(pdu(b"\0\0\0\x40\x01\x03" + bytes(8)), id="wrong length of a PDV"),
    ],
)
def test_a_strict_stage_lets_nothing_pass_that_it_cannot_read(stream: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        feed(stage(strict=True, held_limit=4096), stream)
    assert error.value.reason == 6
    with pytest.raises(RemoteProtocolError):
        bytewise(stage(strict=True, held_limit=4096), stream)


def test_a_strict_stage_is_not_flushed_over_half_a_command() -> None:
    rewriter = stage(strict=True)
    assert feed(rewriter, pdu(pdv(1, COMMAND, store_request()[:50]))) == b""
    with pytest.raises(RemoteProtocolError):
        rewriter.flush()


def test_a_strict_stage_passes_long_data_sets_in_shared_pdus() -> None:
    stream = STORE + pdu(pdv(1, DATA, bytes(9000)), pdv(1, DATA_END, bytes(9000)), pdv(3, COMMAND_END, echo_request()))
    out = feed(stage(lambda _context_id, _command: None, strict=True, held_limit=4096), stream)
    assert split_messages(out) == split_messages(stream)


def test_a_command_over_the_limit_that_another_pdu_goes_on_with_still_passes_a_lenient_stage() -> None:
    rewriter = stage(held_limit=1000)
    stream = pdu(pdv(1, COMMAND, bytes(3000))) + pdu(pdv(3, DATA, b"DATA")) + pdu(pdv(1, COMMAND_END, bytes(10)))
    assert feed(rewriter, stream) == stream
