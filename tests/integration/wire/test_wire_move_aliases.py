"""C-MOVE across the pair: the Move Destination on the way to the PACS, the Move Originator on the way back."""

import struct
from collections.abc import Callable
from typing import Final

import pytest

from tests.integration.wire import pdus, raw_peers
from tests.integration.wire.conftest import Route
from tests.integration.wire.raw_peers import Acceptor, Connection

MOVE: Final = pdus.rq(
    pdus.proposed(1, pdus.STUDY_MOVE, pdus.IMPLICIT) + pdus.proposed(3, pdus.STUDY_FIND, pdus.IMPLICIT)
)
STORE: Final = pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT), called=b"ALIAS_OF_ASKER_1")
SMALL: Final = pdus.maximum_length(128) + pdus.implementation()
IDENTIFIER: Final = b"".join(
    struct.pack("<HHL", 0x0020, 0x000D, 64) + bytes(f"1.2.840.{number}".ljust(64, "0"), "ascii") for number in range(9)
)


def read_message(connection: Connection, *, data: bool = True, maximum: int = 0) -> tuple[bytes, bytes]:
    """A command and its data set, none of whose PDUs is longer than `maximum`."""
    parts: dict[bool, list[bytes]] = {True: [], False: []}
    ended = {True: False, False: not data}
    while not all(ended.values()):
        pdu = connection.expect(pdus.P_DATA)
        assert not maximum or len(pdu) - 6 <= maximum
        for _, header, fragment in pdus.pdvs(pdu):
            is_command = bool(header & 1)
            assert not ended[is_command]
            assert is_command or ended[True]
            parts[is_command].append(fragment)
            ended[is_command] = bool(header & 2)
    return b"".join(parts[True]), b"".join(parts[False])


@pytest.mark.parametrize(
    ("asked", "alias"),
    [(b"ASKER1", b"ALIAS_OF_ASKER_1"), (b"ASKER_NUMBER_TWO", b"AL2"), (b" ASKER1 ", b"ALIAS_OF_ASKER_1")],
)
def test_destination_becomes_the_alias(routes: Callable[[str], Route], asked: bytes, alias: bytes) -> None:
    scu, scp = routes("moves").associate(MOVE)
    scu.send(pdus.command_pdu(pdus.move_rq(asked, 77)), pdus.data_pdus(IDENTIFIER))
    assert read_message(scp, maximum=16384) == (pdus.move_rq(alias, 77), IDENTIFIER)
    pending = pdus.command_pdu(pdus.response(0x8021, pdus.STUDY_MOVE, 77, 0xFF00, (0x1020, pdus.us(3))))
    scp.send(pending)
    scu.expect_exactly(pending)


def test_command_in_three_pdvs_of_which_the_last_shares_its_pdu_with_the_identifier(
    routes: Callable[[str], Route],
) -> None:
    """The receiver takes 128 bytes, the alias is longer than what it replaces."""
    scu, scp = routes("moves").associate(MOVE, SMALL)
    command = pdus.move_rq(b"ASKER1", 5)
    one, two, three = command[:11], command[11:90], command[90:]
    message = (
        pdus.p_data(pdus.pdv(1, one, command=True, last=False))
        + pdus.p_data(pdus.pdv(1, two, command=True, last=False))
        + pdus.p_data(
            pdus.pdv(1, three, command=True, last=True), pdus.pdv(1, IDENTIFIER[:20], command=False, last=False)
        )
        + pdus.data_pdus(IDENTIFIER[20:], size=128)
    )
    scu.send(message)
    assert read_message(scp, maximum=128) == (pdus.move_rq(b"ALIAS_OF_ASKER_1", 5), IDENTIFIER)

    scu.send_in_pieces(message, 1)
    assert read_message(scp, maximum=128) == (pdus.move_rq(b"ALIAS_OF_ASKER_1", 5), IDENTIFIER)


def test_what_follows_the_rewritten_command_is_as_it_was(routes: Callable[[str], Route]) -> None:
    scu, scp = routes("moves").associate(MOVE)
    data = pdus.data_pdus(IDENTIFIER, size=100)
    cancel = pdus.command_pdu(pdus.cancel_rq(1))
    find = pdus.command_pdu(pdus.find_rq(2), 3) + pdus.data_pdus(IDENTIFIER, 3)
    scu.send(pdus.command_pdu(pdus.move_rq(b"ASKER1")), data, cancel, find, pdus.release_rq())
    scp.expect_exactly(pdus.command_pdu(pdus.move_rq(b"ALIAS_OF_ASKER_1")) + data + cancel + find + pdus.release_rq())


@pytest.mark.parametrize("destination", [b"NOBODY", b"ASKER", b"asker1", b"ASKER11"])
def test_other_destinations_are_left_alone(routes: Callable[[str], Route], destination: bytes) -> None:
    scu, scp = routes("moves").associate(MOVE)
    command = pdus.move_rq(destination)
    message = pdus.p_data(pdus.pdv(1, command[:30], command=True, last=False)) + pdus.p_data(
        pdus.pdv(1, command[30:], command=True, last=True), pdus.pdv(1, IDENTIFIER, command=False, last=True)
    )
    scu.send(message)
    found = read_message(scp)
    assert found == (command, IDENTIFIER)


class Returning:
    """The association that the PACS opens at B for a sub-operation, and where it comes out behind A."""

    def __init__(self, route: Route, request: bytes, user: bytes = pdus.USER) -> None:
        assert route.standing is not None
        assert route.standing.target_of_a_port is not None
        with Acceptor(route.standing.target_of_a_port) as asker:
            self.pacs: Final = route.keep(raw_peers.connect(route.pair.b.port))
            self.pacs.send(request)
            self.asker: Final = route.keep(asker.accept())
        self.seen: Final = self.asker.expect(pdus.RQ)
        self.asker.send(pdus.simple_ac(self.seen, user))
        assert self.pacs.expect(pdus.AC) == pdus.simple_ac(request, user)


def store(originator: bytes | None, message_id: int = 1) -> bytes:
    """A C-STORE-RQ of a C-MOVE."""
    more = () if originator is None else ((0x1030, pdus.ae(originator)), (0x1031, pdus.us(77)))
    return pdus.store_rq(message_id, "1.2.3.4", pdus.CT_STORAGE, *more)


@pytest.mark.parametrize(("alias", "asker"), [(b"ALIAS_OF_ASKER_1", b"ASKER1"), (b"AL2", b"ASKER_NUMBER_TWO")])
@pytest.mark.parametrize("maximum", [128, 16384])
def test_asker_sees_itself_as_called_and_as_move_originator(
    routes: Callable[[str], Route], alias: bytes, asker: bytes, maximum: int
) -> None:
    request = pdus.rq(
        pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT), called=alias.ljust(16), calling=b"PACS".ljust(16)
    )
    back = Returning(routes("moves"), request, pdus.maximum_length(maximum) + pdus.implementation())
    assert pdus.titles(back.seen)[:16].strip() == asker
    assert pdus.without_titles(back.seen) == pdus.without_titles(request)
    for message_id in (1, 2):
        command, data = store(b"RAWSCU", message_id), bytes(range(256)) * 30
        back.pacs.send(
            pdus.p_data(
                pdus.pdv(1, command, command=True, last=True), pdus.pdv(1, data[:64], command=False, last=False)
            ),
            pdus.data_pdus(data[64:], size=maximum),
        )
        assert read_message(back.asker, maximum=maximum) == (store(asker, message_id), data)
        back.asker.send(pdus.command_pdu(pdus.store_rsp(message_id)))
        back.pacs.expect_exactly(pdus.command_pdu(pdus.store_rsp(message_id)))


def test_store_that_is_no_sub_operation_is_left_alone(routes: Callable[[str], Route]) -> None:
    back = Returning(routes("moves"), STORE)
    message = pdus.p_data(
        pdus.pdv(1, store(None), command=True, last=True), pdus.pdv(1, bytes(100), command=False, last=True)
    )
    back.pacs.send(message)
    assert read_message(back.asker) == (store(None), bytes(100))


def test_two_askers_at_the_same_time(routes: Callable[[str], Route]) -> None:
    route = routes("moves")
    one = Returning(route, STORE)
    two = Returning(route, pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT), called=b"AL2".ljust(16)))
    for back, asker, data in ((one, b"ASKER1", b"first of them "), (two, b"ASKER_NUMBER_TWO", b"the other one ")):
        back.pacs.send(pdus.command_pdu(store(b"RAWSCU")), pdus.data_pdus(data))
        assert read_message(back.asker) == (store(asker), data)
