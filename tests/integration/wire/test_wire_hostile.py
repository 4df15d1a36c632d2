"""Malformed and hostile input in every state: the answer of Table 9-10, and nobody else notices.

Each test has a bystander on the same pair, an association that was there before and works afterwards.
"""

import random
import struct
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.integration.wire import pdus
from tests.integration.wire.conftest import Route, StandingPairs
from tests.integration.wire.raw_peers import Connection

Ends = tuple[Connection, Connection]

UNEXPECTED: Final = pdus.abort(2, 2)
UNRECOGNIZED: Final = pdus.abort(2, 1)

ECHO: Final = pdus.command_pdu(pdus.echo_rq())
SAMPLE_RQ: Final = pdus.rq()
SAMPLES: Final = {
    "RQ": SAMPLE_RQ,
    "AC": pdus.simple_ac(SAMPLE_RQ),
    "RJ": pdus.rj(1, 1, 1),
    "P-DATA": ECHO,
    "RELEASE-RQ": pdus.release_rq(),
    "RELEASE-RP": pdus.release_rp(),
    "type 00": pdus.pdu(0x00, bytes(4)),
    "type 08": pdus.pdu(0x08, bytes(4)),
    "type FF": pdus.pdu(0xFF, bytes(100)),
}
PDU_NAMES: Final = pytest.mark.parametrize("name", SAMPLES)

TLS_HELLO: Final = bytes.fromhex("16030100c8010000c40303") + bytes(range(192))

WRONG_DATA: Final = {
    "context that was not proposed": pdus.command_pdu(pdus.echo_rq(), 7),
    "context 0": pdus.command_pdu(pdus.echo_rq(), 0),
    "even context": pdus.command_pdu(pdus.echo_rq(), 2),
    "PDV length 0": pdus.p_data(struct.pack(">LBB", 0, 1, 3)),
    "PDV length 1": pdus.p_data(struct.pack(">LBB", 1, 1, 3)),
    "PDV longer than its PDU": pdus.p_data(struct.pack(">LBB", 5000, 1, 3) + bytes(50)),
    "PDV of 4 GiB in a short PDU": pdus.p_data(struct.pack(">LBB", 0xFFFFFFFF, 1, 3) + bytes(50)),
    "PDU shorter than a PDV header": pdus.p_data(b"\0\0\0"),
    "rest behind the last PDV": pdus.p_data(pdus.pdv(1, b"abcd", command=True, last=False), b"\0\0"),
}
WRONG_PDUS: Final = {
    "RELEASE-RQ without body": pdus.pdu(pdus.RELEASE_RQ, b""),
    "RELEASE-RQ of 5 bytes": pdus.pdu(pdus.RELEASE_RQ, bytes(5)),
    "RELEASE-RQ of 4 GiB": pdus.pdu(pdus.RELEASE_RQ, bytes(100), length=0xFFFFFFFF),
    "A-ABORT of 4 GiB": pdus.pdu(pdus.ABORT, bytes(100), length=0xFFFFFFFF),
    "RQ of 4 GiB": pdus.pdu(pdus.RQ, bytes(100), length=0xFFFFFFFF),
    "AC of 4 GiB": pdus.pdu(pdus.AC, bytes(100), length=0xFFFFFFFF),
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "TLS": TLS_HELLO,
}


@pytest.fixture(scope="module", autouse=True)
def memory_stays_flat(pairs: StandingPairs) -> Iterator[None]:
    """Nothing that these tests send stays in a proxy."""
    proxies = pairs.get("plain").pair.proxies()
    before = [proxy.rss() for proxy in proxies]
    yield
    growth = [proxy.rss() - rss for proxy, rss in zip(proxies, before, strict=True)]
    assert max(growth) < 24 << 20, growth


@pytest.fixture
def route(routes: Callable[[str], Route]) -> Route:
    """Through the pair; there is nothing to see directly."""
    return routes("plain")


@pytest.fixture
def bystander(route: Route) -> Iterator[None]:
    """An association on the same pair, and one made anew, that work during and after the test."""
    scu, scp = route.associate()
    echo(scu, scp)
    yield
    echo(scu, scp)
    echo(*route.associate())


pytestmark = pytest.mark.usefixtures("bystander")


def echo(scu: Connection, scp: Connection) -> None:
    """A C-ECHO."""
    scu.send(pdus.command_pdu(pdus.echo_rq(9)))
    scp.expect_exactly(pdus.command_pdu(pdus.echo_rq(9)))
    scp.send(pdus.command_pdu(pdus.echo_rsp(9)))
    scu.expect_exactly(pdus.command_pdu(pdus.echo_rsp(9)))


def answer_to(name: str) -> bytes:
    """The A-ABORT that answers a sample where it does not belong (Table 9-10: AA-8)."""
    return UNRECOGNIZED if name.startswith("type") else UNEXPECTED


def expect_both_aborted(sender: Connection, other: Connection, answer: bytes | None = None) -> None:
    """The one that sent it gets this A-ABORT, the other end one of the provider."""
    found = sender.expect(pdus.ABORT)
    if answer is None:
        assert found[8] == 2
        assert found[9] in (1, 2, 4, 5, 6)
    else:
        assert found == answer
    assert other.expect(pdus.ABORT)[8] == 2


# --- what the requestor of the association sends ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "RQ"])
def test_before_the_request(route: Route, name: str) -> None:
    """Sta2: AA-1."""
    with route.call() as scu:
        scu.send(SAMPLES[name])
        assert scu.expect(pdus.ABORT)[8] in (0, 2)


def test_abort_before_the_request(route: Route) -> None:
    """Sta2: AA-2."""
    with route.call() as scu:
        scu.send(pdus.abort(0, 0))
        assert scu.expect_end(patience=5) == "eof"


@PDU_NAMES
def test_before_the_answer(route: Route, name: str) -> None:
    """Sta3: AA-8."""
    scu, scp, _ = route.request(SAMPLE_RQ)
    scu.send(SAMPLES[name])
    expect_both_aborted(scu, scp, answer_to(name))


@PDU_NAMES
def test_together_with_the_request(route: Route, name: str) -> None:
    """The same, in one segment with the RQ: the target may not even have been asked."""
    assert route.acceptor
    scu = route.call()
    scu.send(SAMPLE_RQ, SAMPLES[name])
    assert scu.expect(pdus.ABORT) == answer_to(name)
    scu.close()
    route.acceptor.expect_no_association(0.3, SAMPLE_RQ)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("P-DATA", "RELEASE-RQ")])
@pytest.mark.parametrize("sender", ["scu", "scp"])
def test_during_data_transfer(route: Route, name: str, sender: str) -> None:
    """Sta6: AA-8."""
    scu, scp = route.associate()
    sending, other = (scu, scp) if sender == "scu" else (scp, scu)
    sending.send(ECHO, SAMPLES[name])
    other.expect_exactly(ECHO)
    expect_both_aborted(sending, other, answer_to(name))


@PDU_NAMES
@pytest.mark.parametrize("sender", ["scu", "scp"])
def test_behind_its_own_release_request(route: Route, name: str, sender: str) -> None:
    """Sta8: AA-8, also for P-DATA and a second RELEASE-RQ."""
    scu, scp = route.associate()
    sending, other = (scu, scp) if sender == "scu" else (scp, scu)
    sending.send(pdus.release_rq(), SAMPLES[name])
    other.expect_exactly(pdus.release_rq())
    expect_both_aborted(sending, other, answer_to(name))


@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.startswith(("P-DATA", "RELEASE"))])
@pytest.mark.parametrize("sender", ["scu", "scp"])
def test_instead_of_a_release_response(route: Route, name: str, sender: str) -> None:
    """Sta7: AA-8."""
    scu, scp = route.associate()
    sending, other = (scu, scp) if sender == "scu" else (scp, scu)
    other.send(pdus.release_rq())
    sending.expect_exactly(pdus.release_rq())
    sending.send(SAMPLES[name])
    expect_both_aborted(sending, other, answer_to(name))


@PDU_NAMES
def test_after_a_rejection(route: Route, name: str) -> None:
    """Sta13: discarded, or answered with an A-ABORT; the RJ is what counts."""
    scu, scp, _ = route.request(SAMPLE_RQ)
    scp.send(pdus.rj(1, 1, 1))
    scu.expect_exactly(pdus.rj(1, 1, 1))
    scu.send(SAMPLES[name])
    scu.finish_sending()
    scu.ending(patience=5)
    assert bytes(scu.received) in (pdus.rj(1, 1, 1), pdus.rj(1, 1, 1) + UNEXPECTED, pdus.rj(1, 1, 1) + UNRECOGNIZED)


@PDU_NAMES
def test_after_the_release(route: Route, name: str) -> None:
    """Sta13 of the acceptor's leg."""
    scu, scp = route.associate()
    scu.send(pdus.release_rq())
    scp.expect(pdus.RELEASE_RQ)
    scp.send(pdus.release_rp())
    scu.expect_exactly(pdus.release_rp())
    scu.send(SAMPLES[name])
    scu.finish_sending()
    scu.ending(patience=5)
    assert scp.expect_end(patience=5) in ("eof", "reset")


# --- what the target sends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("AC", "RJ")])
def test_target_instead_of_an_answer(route: Route, name: str) -> None:
    """Sta5: AA-8."""
    scu, scp, _ = route.request(SAMPLE_RQ)
    scp.send(SAMPLES[name])
    expect_both_aborted(scp, scu, answer_to(name))


def test_target_accepts_twice(route: Route) -> None:
    scu, scp, seen = route.request(SAMPLE_RQ)
    scp.send(pdus.simple_ac(seen), pdus.simple_ac(seen))
    scu.expect(pdus.AC)
    expect_both_aborted(scp, scu, UNEXPECTED)


WRONG_ACCEPTS: Final = {
    "fixed fields cut short": pdus.pdu(pdus.AC, bytes(40)),
    "item longer than the PDU": pdus.pdu(pdus.AC, b"\0\1" + bytes(66) + b"\x10\0\xff\xff1.2"),
    "context item of one byte": pdus.ac(SAMPLE_RQ, pdus.APPLICATION + pdus.item(0x21, b"\1")),
    "4 GiB": pdus.pdu(pdus.AC, bytes(100), length=0xFFFFFFFF),
}


@pytest.mark.parametrize("name", WRONG_ACCEPTS)
def test_target_sends_an_accept_that_is_none(route: Route, name: str) -> None:
    scu, scp, _ = route.request(SAMPLE_RQ)
    scp.send(WRONG_ACCEPTS[name])
    expect_both_aborted(scp, scu)


# --- malformed, in the middle of an association -----------------------------------------------------------------------


@pytest.mark.parametrize("name", WRONG_DATA)
@pytest.mark.parametrize("sender", ["scu", "scp"])
def test_data_that_is_wrong(route: Route, name: str, sender: str) -> None:
    scu, scp = route.associate()
    sending, other = (scu, scp) if sender == "scu" else (scp, scu)
    sending.send(WRONG_DATA[name])
    found = sending.expect(pdus.ABORT)
    assert found[8] == 2
    assert found[9] in (2, 4, 5, 6)
    # Bytes of the PDU that were good, a header for instance, may have gone; then there is no room for an A-ABORT.
    other.expect_abort_or_reset()


@pytest.mark.parametrize("name", WRONG_PDUS)
@pytest.mark.parametrize("sender", ["scu", "scp"])
def test_pdu_that_is_wrong(route: Route, name: str, sender: str) -> None:
    """Not one of them waits for 4 GiB to come."""
    scu, scp = route.associate()
    sending, other = (scu, scp) if sender == "scu" else (scp, scu)
    sending.send(WRONG_PDUS[name])
    expect_both_aborted(sending, other)


@pytest.mark.parametrize("sender", ["scu", "scp"])
def test_data_pdu_of_4_gib(route: Route, sender: str) -> None:
    """Relayed as it comes, as any PDU is that is longer than the maximum; what is missing is missing at both ends."""
    scu, scp = route.associate()
    sending, other = (scu, scp) if sender == "scu" else (scp, scu)
    endless = pdus.pdu(pdus.P_DATA, struct.pack(">LBB", 0xFFFFFFFB, 1, 0) + bytes(1 << 20), length=0xFFFFFFFF)
    sending.send(endless)
    other.expect_exactly(endless)
    sending.close()
    assert other.expect_end(patience=5) == "reset"


def test_command_without_end(route: Route) -> None:
    """48 MiB of one command: relayed or refused, but not kept."""
    scu, scp = route.associate()
    before = [proxy.rss() for proxy in route.pair.proxies()]
    part = pdus.p_data(*(pdus.pdv(1, bytes(16000), command=True, last=False) for _ in range(16)))
    scp.socket.setblocking(False)
    for _ in range(192):
        try:
            scu.send(part)
        except ConnectionError:
            break
        while True:
            try:
                if not scp.socket.recv(1 << 20):
                    break
            except OSError:
                break
    growth = [proxy.rss() - rss for proxy, rss in zip(route.pair.proxies(), before, strict=True)]
    assert max(growth) < 32 << 20, growth


WRONG_COMMANDS: Final = {
    "nothing": b"",
    "noise": bytes(range(40, 140)),
    "zeros": bytes(100),
    "an element that does not end": pdus.move_rq(b"ASKER1") + pdus.element(0x0700, b"")[:6],
    "an element longer than the command": pdus.move_rq(b"ASKER1")[:-2] + struct.pack("<HHL", 0, 0x0900, 0xFFFFFFF0),
    "no group length": pdus.move_rq(b"ASKER1")[12:],
    "a group length that is wrong": pdus.element(0x0000, b"\xff\xff\xff\xff") + pdus.move_rq(b"ASKER1")[12:],
    "no command field": pdus.command_set(((0x0600, b"ASKER1"),)),
    "no message ID": pdus.command_set(((0x0002, pdus.ui(pdus.STUDY_MOVE)), (0x0100, b"\x21\0"), (0x0600, b"ASKER1"))),
    "a command field of one byte": pdus.command_set(((0x0100, b"\x21"), (0x0600, b"ASKER1"))),
    "an unknown command field": pdus.request(0x7777, pdus.STUDY_MOVE, 1),
    "no destination": pdus.request(0x0021, pdus.STUDY_MOVE, 1, (0x0700, b"\0\0"), data=True),
    "an empty destination": pdus.move_rq(b""),
    "a destination of 40 bytes": pdus.move_rq(b"ASKER1".ljust(40, b"X")),
    "two destinations": pdus.request(0x0021, pdus.STUDY_MOVE, 1, (0x0600, b"ASKER1"), (0x0600, b"OTHER1")),
    "elements out of order": pdus.command_set(((0x0600, b"ASKER1"), (0x0110, b"\1\0"), (0x0100, b"\x21\0"))),
    "an element of a data set": pdus.command_set(((0x0100, b"\x21\0"), (0x0600, b"ASKER1"), (0x00100010, b"A^B "))),
    "a UID of rubbish": pdus.request(0x0021, "\x1b[31m\n\0\0 not a UID", 1, (0x0600, b"ASKER1")),
    "a response to nothing": pdus.response(0x8021, pdus.STUDY_MOVE, 99, 0x1234),
    "a cancel of nothing": pdus.cancel_rq(99),
}


@pytest.mark.parametrize("kind", ["plain", "moves", "debug"])
@pytest.mark.parametrize("sender", ["scu", "scp"])
@pytest.mark.parametrize("name", WRONG_COMMANDS)
def test_command_that_is_wrong(routes: Callable[[str], Route], kind: str, sender: str, name: str) -> None:
    """The end points decide what they make of it: it arrives, and what follows it arrives too; or both are aborted."""
    scu, scp = routes(kind).associate(pdus.rq(pdus.proposed(1, pdus.STUDY_MOVE, pdus.IMPLICIT)))
    sending, other = (scu, scp) if sender == "scu" else (scp, scu)
    command = WRONG_COMMANDS[name]
    sending.send(
        pdus.p_data(pdus.pdv(1, command[:7], command=True, last=False)),
        pdus.p_data(pdus.pdv(1, command[7:], command=True, last=True)),
    )
    seen = b""
    while True:
        found = other.read_pdu()
        if found[0] == pdus.ABORT:
            sending.expect(pdus.ABORT)
            return
        ((context_id, header, fragment),) = pdus.pdvs(found)
        assert (context_id, header & 1) == (1, 1)
        seen += fragment
        if header & 2:
            break
    if kind != "moves" or b"ASKER1" not in command:
        assert seen == command
    data = pdus.data_pdus(b"an identifier.")
    sending.send(data)
    other.expect_exactly(data)


def test_object_of_one_byte_pdvs(route: Route) -> None:
    """As slow as it may be for its own association; the bystander goes on."""
    scu, scp = route.associate()
    store = pdus.p_data(*(pdus.pdv(1, b"x", command=False, last=False) for _ in range(2000)))
    for _ in range(10):
        scu.send(ECHO, store)
        scp.expect_exactly(ECHO + store)


# --- malformed requests -----------------------------------------------------------------------------------------------


WRONG_REQUESTS: Final = {
    "fixed fields cut short": pdus.pdu(pdus.RQ, bytes(40)),
    "no body": pdus.pdu(pdus.RQ, b""),
    "item longer than the PDU": pdus.pdu(pdus.RQ, SAMPLE_RQ[6:74] + b"\x10\0\xff\xff1.2"),
    "half an item header": pdus.pdu(pdus.RQ, SAMPLE_RQ[6:] + b"\x20\0"),
    "context item of two bytes": pdus.rq(pdus.item(0x20, b"\1\0")),
    "sub-item longer than its item": pdus.rq(user=b"\x51\0\x00\x40\0\0"),
    "4 GiB": pdus.pdu(pdus.RQ, bytes(100), length=0xFFFFFFFF),
    "a byte over 1 MiB": pdus.pdu(pdus.RQ, bytes(100), length=(1 << 20) + 1),
}
ODD_REQUESTS: Final = {
    "context 0": pdus.rq(pdus.proposed(0, pdus.VERIFICATION, pdus.IMPLICIT)),
    "even contexts": pdus.rq(
        pdus.proposed(2, pdus.VERIFICATION, pdus.IMPLICIT) + pdus.proposed(254, pdus.CT_STORAGE, pdus.IMPLICIT)
    ),
    "the same context twice": pdus.rq(pdus.ECHO_CONTEXT * 2),
    "no context": pdus.rq(b""),
    "context without transfer syntax": pdus.rq(pdus.proposed(1, pdus.VERIFICATION)),
    "two user information items": pdus.rq(more=pdus.item(0x50, pdus.USER)),
    "no user information": pdus.pdu(pdus.RQ, SAMPLE_RQ[6:74] + pdus.APPLICATION + pdus.ECHO_CONTEXT),
    "UID of 200 characters": pdus.rq(pdus.proposed(1, "1." * 99 + "1", pdus.IMPLICIT)),
    "UID that is none": pdus.rq(pdus.proposed(1, "\x01\x7f not a UID", pdus.IMPLICIT)),
    "protocol version 0": pdus.rq(version=0),
    "other application context": pdus.rq(application=pdus.item(0x10, b"1.2.3")),
    "titles of control characters": pdus.rq(calling=bytes(range(1, 17))),
    "titles that are not ASCII": pdus.rq(calling=bytes(range(0xF0, 0x100))),
    "calling title of spaces": pdus.rq(calling=b" " * 16),
    "a megabyte, nearly": pdus.rq(more=b"".join(pdus.item(0x77, bytes(65000)) for _ in range(16))),
}


@pytest.mark.parametrize("name", WRONG_REQUESTS)
def test_request_that_is_wrong(route: Route, name: str) -> None:
    scu = route.call()
    scu.send(WRONG_REQUESTS[name])
    found = scu.expect(pdus.ABORT)
    assert found[8] in (0, 2)


@pytest.mark.parametrize("name", ODD_REQUESTS)
def test_request_that_is_odd(route: Route, name: str) -> None:
    """Either it is refused, or the target sees it as it was sent and decides."""
    assert route.acceptor
    request = ODD_REQUESTS[name]
    scu = route.call()
    scu.send(request)
    try:
        scp = route.answer(patience=1)
    except TimeoutError:
        assert scu.read_pdu()[0] in (pdus.RJ, pdus.ABORT)
        return
    assert scp.expect(pdus.RQ) == request
    scp.send(pdus.rj(1, 1, 1))
    assert scu.expect(pdus.RJ) == pdus.rj(1, 1, 1)


@pytest.mark.parametrize("name", ["RQ", "AC", "P-DATA", "RELEASE-RQ", "type FF"])
@pytest.mark.parametrize("keep", [1, 5, 6, 8])
def test_truncated_and_closed(route: Route, name: str, keep: int) -> None:
    with route.call() as scu:
        scu.send(SAMPLES[name][:keep])
        scu.finish_sending()
        scu.ending(patience=5)
    scu, scp = route.associate()
    scu.send(SAMPLES[name][:keep])
    scu.finish_sending()
    scp.ending(patience=5) if name == "P-DATA" else scp.expect(pdus.ABORT)


def test_random_bytes(route: Route) -> None:
    """Before the request, and behind an association that has been accepted, from either end."""
    source = random.Random(20)
    for number in range(60):
        noise = source.randbytes(source.randrange(1, 3000))
        with route.call() as scu:
            scu.send(noise)
            scu.finish_sending()
            scu.ending(patience=5)
        scu, scp = route.associate()
        sending, other = (scu, scp) if number % 2 else (scp, scu)
        sending.send(noise)
        sending.finish_sending()
        other.ending(patience=5) if noise[0] == pdus.P_DATA else other.wait_until_readable()
        scu.close()
        scp.close()


def test_nearly_right_bytes(route: Route) -> None:
    """A good conversation in which one byte is another: no answer is wrong but silence."""
    source = random.Random(21)
    for _ in range(60):
        good = bytearray(SAMPLE_RQ if source.random() < 0.5 else pdus.rq(user=pdus.USER + pdus.identity(1, b"someone")))
        good[source.randrange(len(good))] = source.randrange(256)
        with route.call() as scu:
            scu.send(bytes(good))
            scu.finish_sending()
            scu.ending(patience=5)
    route.acceptor.forget_waiting()
