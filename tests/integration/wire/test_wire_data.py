"""P-DATA-TF between the ends: every byte, in whatever pieces, both ways at once, and with an end that stalls."""

import hashlib
import random
import threading
from collections.abc import Callable
from typing import Final

import pytest

from tests.integration.wire import pdus
from tests.integration.wire.conftest import Route
from tests.integration.wire.raw_peers import Connection

STORAGE: Final = pdus.rq(
    pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT) + pdus.proposed(3, pdus.VERIFICATION, pdus.IMPLICIT)
)
GET: Final = pdus.rq(
    pdus.proposed(1, pdus.STUDY_GET, pdus.IMPLICIT) + pdus.proposed(3, pdus.CT_STORAGE, pdus.IMPLICIT),
    pdus.USER + pdus.asynchronous_window(8, 8) + pdus.role(pdus.CT_STORAGE, 0, 1),
)
MIB: Final = 1 << 20


def pattern(length: int, seed: int = 1) -> bytes:
    """Bytes without a period that a lost or doubled piece could hide in."""
    return hashlib.shake_128(seed.to_bytes(4, "big")).digest(length)


def send_in_background(connection: Connection, data: bytes) -> threading.Thread:
    """Send `data` from a thread of its own."""
    connection.socket.settimeout(60)
    thread = threading.Thread(target=connection.socket.sendall, args=(data,))
    thread.start()
    return thread


@pytest.mark.parametrize("size", [1, 5, 7])
def test_object_in_small_segments(route: Route, size: int) -> None:
    """PDU and PDV headers come split, byte by byte, and go on as they came."""
    scu, scp = route.associate(STORAGE)
    message = pdus.command_pdu(pdus.store_rq()) + pdus.data_pdus(pattern(600), size=90)
    scu.send_in_pieces(message, size)
    scp.expect_exactly(message)
    answer = pdus.command_pdu(pdus.store_rsp())
    scp.send_in_pieces(answer, size)
    scu.expect_exactly(answer)


def test_first_bytes_of_a_pdu_do_not_wait_for_its_end(route: Route) -> None:
    """Nothing is held back: a PDU of 1 MiB is on its way as soon as its first bytes came."""
    scu, scp = route.associate(STORAGE)
    message = pdus.command_pdu(pdus.store_rq()) + pdus.data_pdus(pattern(MIB), size=2 * MIB)
    half = len(message) // 2
    scu.send(message[:half])
    scp.expect_exactly(message[:half])
    scu.send(message[half:])
    scp.expect_exactly(message[half:])


def test_empty_last_pdv(route: Route) -> None:
    scu, scp = route.associate(STORAGE)
    message = (
        pdus.command_pdu(pdus.store_rq())
        + pdus.p_data(pdus.pdv(1, pattern(100), command=False, last=False))
        + pdus.p_data(pdus.pdv(1, b"", command=False, last=True))
    )
    scu.send(message)
    scp.expect_exactly(message)
    scp.send(pdus.command_pdu(pdus.store_rsp()))
    scu.expect_exactly(pdus.command_pdu(pdus.store_rsp()))


def test_command_in_many_pdvs(route: Route) -> None:
    scu, scp = route.associate(STORAGE)
    command = pdus.store_rq()
    pieces = [command[at : at + 3] for at in range(0, len(command), 3)]
    parts = [pdus.pdv(1, piece, command=True, last=piece is pieces[-1]) for piece in pieces]
    message = (
        pdus.p_data(*parts[:5])
        + b"".join(pdus.p_data(part) for part in parts[5:-1])
        + pdus.p_data(parts[-1], pdus.pdv(1, pattern(50), command=False, last=True))
    )
    scu.send(message)
    scp.expect_exactly(message)


def test_command_and_data_set_in_one_pdu(route: Route) -> None:
    """As dcm4che packs them."""
    scu, scp = route.associate(STORAGE)
    message = pdus.p_data(
        pdus.pdv(1, pdus.store_rq(), command=True, last=True), pdus.pdv(1, pattern(5000), command=False, last=True)
    )
    for _ in range(3):
        scu.send(message)
        scp.expect_exactly(message)


def test_pdu_longer_than_the_maximum_announced(route: Route) -> None:
    """The end points decide what they make of it."""
    scu, scp, seen = route.request(pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT)))
    scp.send(pdus.simple_ac(seen, pdus.maximum_length(4096) + pdus.implementation()))
    scu.expect(pdus.AC)
    message = pdus.command_pdu(pdus.store_rq()) + pdus.data_pdus(pattern(200_000), size=150_000)
    scu.send(message)
    scp.expect_exactly(message)
    scp.send(message)
    scu.expect_exactly(message)


@pytest.mark.parametrize("kind", ["direct", "plain", "small-payload"])
def test_both_ways_at_once(routes: Callable[[str], Route], kind: str) -> None:
    scu, scp = routes(kind).associate(GET)
    up = b"".join(pdus.command_pdu(pdus.store_rsp(number), 3) for number in range(20_000))
    down = pdus.command_pdu(pdus.store_rq(), 3) + pdus.data_pdus(pattern(16 * MIB), 3)
    threads = [send_in_background(scu, up), send_in_background(scp, down)]
    found: dict[str, bytes] = {}

    def read_up() -> None:
        found["up"] = scp.read(len(up), patience=60)

    reader = threading.Thread(target=read_up)
    reader.start()
    found["down"] = scu.read(len(down), patience=60)
    for thread in (*threads, reader):
        thread.join()
    assert found["up"] == up
    assert found["down"] == down


@pytest.mark.parametrize("stalled", ["scu", "scp"])
def test_stalled_end_holds_the_other_up_and_loses_nothing(route: Route, stalled: str) -> None:
    scu, scp = route.associate(STORAGE)
    sender, reader = (scu, scp) if stalled == "scp" else (scp, scu)
    pdu = pdus.p_data(pdus.pdv(1, pattern(16000), command=False, last=False))
    sender.send(pdus.command_pdu(pdus.store_rq()))
    sent = sender.send_until_blocked(pdu, limit=64 * MIB)
    reader.expect_exactly(pdus.command_pdu(pdus.store_rq()))
    whole, part = divmod(sent, len(pdu))
    rest = send_in_background(sender, pdu[part:] if part else b"")
    for _ in range(whole + bool(part)):
        reader.expect_exactly(pdu)
    rest.join()
    reader.send(pdus.command_pdu(pdus.store_rsp()))
    sender.expect_exactly(pdus.command_pdu(pdus.store_rsp()))


def test_get_with_a_window_of_8_a_stalled_target_and_a_cancel_in_between(route: Route) -> None:
    """Eight sub-operations outstanding; their responses, out of order, and the C-CANCEL wait in front of the target."""
    scu, scp = route.associate(GET)
    request = pdus.command_pdu(pdus.get_rq(7)) + pdus.data_pdus(b"identifier")
    scu.send(request)
    scp.expect_exactly(request)
    data = pattern(MIB)
    stores = [pdus.command_pdu(pdus.store_rq(number), 3) + pdus.data_pdus(data, 3) for number in range(8)]
    pending = pdus.command_pdu(pdus.get_rsp(7, 0xFF00))
    sending = send_in_background(scp, b"".join(store + pending for store in stores))

    for store in stores[:4]:
        scu.expect_exactly(store + pending)
    answers = [pdus.command_pdu(pdus.store_rsp(number), 3) for number in (2, 0, 3)]
    scu.send(*answers)
    scu.send(pdus.command_pdu(pdus.cancel_rq(7)))
    for store in stores[4:]:
        scu.expect_exactly(store + pending)
    sending.join()
    late = [pdus.command_pdu(pdus.store_rsp(number), 3) for number in (7, 1, 5, 4, 6)]
    scu.send(*late)

    scp.expect_exactly(b"".join([*answers, pdus.command_pdu(pdus.cancel_rq(7)), *late]))
    scp.send(pdus.command_pdu(pdus.get_rsp(7, 0xFE00)))
    scu.expect_exactly(pdus.command_pdu(pdus.get_rsp(7, 0xFE00)))


def test_get_whose_target_does_not_read_while_its_objects_pile_up(route: Route) -> None:
    """Both ends stalled in turn: 24 MiB in front of the SCU, 4 MiB of responses in front of the target."""
    scu, scp = route.associate(GET)
    objects = b"".join(pdus.command_pdu(pdus.store_rq(n), 3) + pdus.data_pdus(pattern(3 * MIB), 3) for n in range(8))
    responses = b"".join(pdus.command_pdu(pdus.store_rsp(n % 8), 3) for n in range(30_000))
    down, up = send_in_background(scp, objects), send_in_background(scu, responses)
    assert scu.read(len(objects), patience=60) == objects
    assert scp.read(len(responses), patience=60) == responses
    down.join()
    up.join()


def conversation(source: random.Random) -> list[bytes]:
    """What one end sends: messages cut into PDVs, PDUs and writes of all sizes."""
    messages = b""
    for number in range(source.randrange(1, 6)):
        data = source.randbytes(source.choice((0, 1, 500, 20_000, 900_000)))
        command = pdus.store_rq(number, f"1.2.3.{source.randrange(10**9)}")
        size = source.choice((40, 128, 4096, 16384, 1 << 20))
        if len(data) // size > 3000:
            size = 16384
        if source.random() < 0.5:
            messages += pdus.command_pdu(command) + pdus.data_pdus(data, size=size)
        else:
            cut = source.randrange(len(command) + 1)
            messages += pdus.p_data(
                pdus.pdv(1, command[:cut], command=True, last=False),
                pdus.pdv(1, command[cut:], command=True, last=True),
            ) + pdus.data_pdus(data, size=size)
    writes = []
    while messages:
        length = source.choice((1, 3, 6, 12, 1000, 65536, 300_000))
        writes.append(messages[:length])
        messages = messages[length:]
    return writes


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("kind", ["direct", "plain", "small-payload", "debug"])
def test_conversation_of_all_sizes(routes: Callable[[str], Route], kind: str, seed: int) -> None:
    """Both ends talk at once, as they like; each hears what the other said."""
    scu, scp = routes(kind).associate(STORAGE)
    source = random.Random(seed)
    said = {end: conversation(source) for end in (scu, scp)}

    def say(end: Connection) -> None:
        for piece in said[end]:
            end.send(piece)

    threads = [threading.Thread(target=say, args=(end,)) for end in said]
    for thread in threads:
        thread.start()
    for speaker, listener in ((scu, scp), (scp, scu)):
        listener.expect_exactly(b"".join(said[speaker]), patience=30)
    for thread in threads:
        thread.join()
    scu.send(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scp.send(pdus.release_rp())
    scu.expect_exactly(pdus.release_rp())


def test_idle_association_is_kept(routes: Callable[[str], Route]) -> None:
    """Idle for several times the ARTIM time-out (1 s here), at both ends."""
    scu, scp = routes("quick").associate()
    scu.expect_silence(2.5)
    scu.send(pdus.command_pdu(pdus.echo_rq()))
    scp.expect_exactly(pdus.command_pdu(pdus.echo_rq()))
    scp.send(pdus.command_pdu(pdus.echo_rsp()))
    scu.expect_exactly(pdus.command_pdu(pdus.echo_rsp()))
