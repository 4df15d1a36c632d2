"""A-ASSOCIATE-RQ and -AC, byte for byte, between raw ends: what the SCP sees and what the SCU gets back."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.integration.wire import pdus
from tests.integration.wire.conftest import Route

UNKNOWN_SUB_ITEM: Final = pdus.item(0x5F, b"\x01\x02from another century")
UNKNOWN_ITEM: Final = pdus.item(0x77, b"an item of no standard", reserved=9)
RESERVED: Final = bytes(range(1, 36))

SEVERAL_PER_CLASS: Final = (
    pdus.proposed(1, pdus.CT_STORAGE, pdus.IMPLICIT)
    + pdus.proposed(3, pdus.CT_STORAGE, pdus.EXPLICIT)
    + pdus.proposed(5, pdus.CT_STORAGE, pdus.JPEG_BASELINE, pdus.EXPLICIT)
    + pdus.proposed(255, pdus.VERIFICATION, pdus.IMPLICIT, pdus.BIG_ENDIAN)
)
MANY: Final = b"".join(
    pdus.proposed(number, f"{pdus.CT_STORAGE}.{number}", pdus.IMPLICIT, pdus.EXPLICIT) for number in range(1, 257, 2)
)

REQUESTS: Final = {
    "one context": pdus.rq(),
    "128 contexts": pdus.rq(MANY),
    "several contexts of one class": pdus.rq(SEVERAL_PER_CLASS),
    "contexts out of order": pdus.rq(
        pdus.proposed(9, pdus.VERIFICATION, pdus.IMPLICIT) + pdus.proposed(3, pdus.CT_STORAGE, pdus.IMPLICIT)
    ),
    "asynchronous window": pdus.rq(user=pdus.USER + pdus.asynchronous_window(8, 0)),
    "role selection": pdus.rq(SEVERAL_PER_CLASS, pdus.USER + pdus.role(pdus.CT_STORAGE, 1, 1)),
    "extended negotiation": pdus.rq(user=pdus.USER + pdus.extended(pdus.STUDY_FIND, b"\1\1\0")),
    "common extended negotiation": pdus.rq(
        user=pdus.USER + pdus.common_extended("1.2.3.4", "1.2.840.10008.4.2", pdus.CT_STORAGE, pdus.MR_STORAGE)
    ),
    "user identity": pdus.rq(user=pdus.USER + pdus.identity(2, b"someone", b"a passcode")),
    "unknown sub-item": pdus.rq(user=UNKNOWN_SUB_ITEM + pdus.USER),
    "unknown item": pdus.rq(more=UNKNOWN_ITEM),
    "unknown item first": pdus.rq(application=UNKNOWN_ITEM + pdus.APPLICATION),
    "maximum length 0": pdus.rq(user=pdus.maximum_length(0) + pdus.implementation()),
    "maximum length 4096": pdus.rq(user=pdus.maximum_length(4096) + pdus.implementation()),
    "no maximum length": pdus.rq(user=pdus.implementation()),
    "no version name": pdus.rq(user=pdus.maximum_length(16384) + pdus.implementation(name=None)),
    "sub-items in another order": pdus.rq(user=pdus.implementation() + pdus.maximum_length(16384)),
    "user information before the contexts": pdus.rq(b"", application=pdus.APPLICATION, more=pdus.ECHO_CONTEXT),
    "other protocol versions too": pdus.rq(version=0x8003),
    "reserved bytes": pdus.rq(
        pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT, reserved=b"\x11\x22\x33"), reserved=RESERVED
    ),
    "NUL-padded titles": pdus.rq(called=b"RAWSCP".ljust(16, b"\0"), calling=b"RAWSCU".ljust(16, b"\0")),
    "leading spaces": pdus.rq(called=b"    RAWSCP      ", calling=b"          RAWSCU"),
    "lower case calling title": pdus.rq(calling=b"raw_scu".ljust(16)),
    "title of 16 characters": pdus.rq(calling=b"SIXTEENCHARSLONG"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request_reaches_the_target_as_it_was_sent(route: Route, name: str) -> None:
    request = REQUESTS[name]
    scu, scp, seen = route.request(request)
    assert seen == request
    accept = pdus.simple_ac(seen)
    scp.send(accept)
    assert scu.expect(pdus.AC) == pdus.simple_ac(request)


CONTEXTS: Final = (
    pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)
    + pdus.proposed(3, pdus.CT_STORAGE, pdus.IMPLICIT, pdus.EXPLICIT)
    + pdus.proposed(5, pdus.STUDY_GET, pdus.EXPLICIT)
    + pdus.proposed(7, "1.2.3.4.5.6.7", pdus.IMPLICIT)
)
EVERYTHING: Final = (
    pdus.USER
    + pdus.asynchronous_window(0, 0)
    + pdus.role(pdus.CT_STORAGE, 1, 1)
    + pdus.extended(pdus.STUDY_GET, b"\1")
    + pdus.identity(1, b"someone")
)
REQUEST: Final = pdus.rq(CONTEXTS, EVERYTHING)

ONE, TWO, THREE, FOUR = (
    pdus.answered(1, 0),
    pdus.answered(3, 0),
    pdus.answered(5, 0, pdus.EXPLICIT),
    pdus.answered(7, 3),
)


def user(data: bytes = pdus.USER) -> bytes:
    """A user information item."""
    return pdus.item(0x50, data)


ACCEPTS: Final = {
    "as usual": pdus.APPLICATION + ONE + TWO + THREE + FOUR + user(),
    "contexts in another order": pdus.APPLICATION + FOUR + TWO + ONE + THREE + user(),
    "contexts left out": pdus.APPLICATION + TWO + user(),
    "everything refused": pdus.APPLICATION
    + pdus.answered(1, 1)
    + pdus.answered(3, 2)
    + pdus.answered(5, 3)
    + pdus.answered(7, 4)
    + user(),
    "refused without transfer syntax": pdus.APPLICATION
    + ONE
    + pdus.answered(3, 4, None)
    + pdus.answered(5, 3, None)
    + pdus.answered(7, 2, "")
    + user(),
    "user information before the contexts": pdus.APPLICATION + user() + ONE + TWO + THREE + FOUR,
    "no application context": ONE + TWO + THREE + FOUR + user(),
    "unknown item": UNKNOWN_ITEM + pdus.APPLICATION + ONE + TWO + THREE + FOUR + user(),
    "unknown sub-item": pdus.APPLICATION + ONE + TWO + THREE + FOUR + user(UNKNOWN_SUB_ITEM + pdus.USER),
    "no maximum length": pdus.APPLICATION + ONE + TWO + THREE + FOUR + user(pdus.implementation()),
    "maximum length 0": pdus.APPLICATION + ONE + user(pdus.maximum_length(0) + pdus.implementation()),
    "maximum length 4096": pdus.APPLICATION + ONE + user(pdus.maximum_length(4096) + pdus.implementation()),
    "all that can be answered": pdus.APPLICATION
    + ONE
    + TWO
    + THREE
    + FOUR
    + user(
        pdus.USER
        + pdus.asynchronous_window(8, 1)
        + pdus.role(pdus.CT_STORAGE, 0, 1)
        + pdus.extended(pdus.STUDY_GET, b"\0")
        + pdus.identity_response(b"a ticket of some kind")
    ),
    "reserved bytes in a context": pdus.APPLICATION + pdus.answered(1, 0, reserved=b"\x44\x55") + TWO + user(),
}


@pytest.mark.parametrize("name", ACCEPTS)
def test_accept_reaches_the_requestor_as_it_was_sent(route: Route, name: str) -> None:
    scu, scp, seen = route.request(REQUEST)
    accept = pdus.ac(seen, ACCEPTS[name])
    scp.send(accept)
    assert scu.expect(pdus.AC) == accept


def test_accept_keeps_reserved_bytes_and_titles_that_were_not_changed(route: Route) -> None:
    scu, scp, seen = route.request(REQUEST)
    accept = pdus.ac(seen, ACCEPTS["as usual"], titles=b"NOT WHAT IT WAS " * 2, reserved=RESERVED)
    scp.send(accept)
    assert scu.expect(pdus.AC) == accept


def test_accept_sent_byte_by_byte(route: Route) -> None:
    scu, scp, seen = route.request(REQUEST)
    accept = pdus.ac(seen, ACCEPTS["all that can be answered"])
    scp.send_in_pieces(accept)
    assert scu.expect(pdus.AC) == accept


def test_request_sent_byte_by_byte(route: Route) -> None:
    assert route.acceptor
    scu = route.call()
    scu.send_in_pieces(REQUEST)
    scp = route.answer()
    assert scp.expect(pdus.RQ) == REQUEST


def test_association_works_after_the_longest_negotiation(route: Route) -> None:
    scu, scp = route.associate(pdus.rq(MANY, EVERYTHING))
    scu.send(pdus.command_pdu(pdus.echo_rq(7), 255))
    scp.expect_exactly(pdus.command_pdu(pdus.echo_rq(7), 255))
    scp.send(pdus.command_pdu(pdus.echo_rsp(7), 255))
    scu.expect_exactly(pdus.command_pdu(pdus.echo_rsp(7), 255))
    scu.send(pdus.release_rq())
    scp.expect_exactly(pdus.release_rq())
    scp.send(pdus.release_rp())
    scu.expect_exactly(pdus.release_rp())


@pytest.mark.parametrize("name", REQUESTS)
def test_only_titles_differ_where_the_proxy_has_titles_of_its_own(routes: Callable[[str], Route], name: str) -> None:
    route = routes("rewriting")
    request = REQUESTS[name]
    scu, scp, seen = route.request(request)
    assert pdus.titles(seen) == b"OTHERSCP".ljust(16) + b"PROXYB".ljust(16)
    assert pdus.without_titles(seen) == pdus.without_titles(request)

    scp.send(pdus.simple_ac(seen))
    assert scu.expect(pdus.AC) == pdus.simple_ac(request)


def test_own_bytes_come_back_in_the_title_fields_whatever_the_target_wrote(routes: Callable[[str], Route]) -> None:
    route = routes("rewriting")
    request = pdus.rq(called=b"  SECOND\0\0\0\0\0\0\0\0", calling=b"\0\0ASKER\0\0\0\0\0\0\0\0\0")
    scu, scp, seen = route.request(request)
    scp.send(pdus.ac(seen, ACCEPTS["maximum length 0"], titles=bytes(range(32)), reserved=RESERVED))
    assert scu.expect(pdus.AC) == pdus.ac(request, ACCEPTS["maximum length 0"], reserved=RESERVED)


def test_fixed_calling_title(routes: Callable[[str], Route]) -> None:
    route = routes("fixed-name")
    request = pdus.rq(CONTEXTS, EVERYTHING)
    scu, scp, seen = route.request(request)
    assert pdus.titles(seen) == pdus.CALLED + b"FIXEDNAME".ljust(16)
    assert pdus.without_titles(seen) == pdus.without_titles(request)
    scp.send(pdus.ac(seen, ACCEPTS["as usual"]))
    assert scu.expect(pdus.AC) == pdus.ac(request, ACCEPTS["as usual"])


LARGE: Final = pdus.rq(
    b"".join(
        pdus.proposed(number, f"{pdus.CT_STORAGE}.{number}", *(f"1.2.840.10008.1.2.4.{each}" for each in range(50, 90)))
        for number in range(1, 257, 2)
    )
)


@pytest.mark.parametrize("kind", ["direct", "plain", "small-payload"])
def test_request_larger_than_any_frame(routes: Callable[[str], Route], kind: str) -> None:
    route = routes(kind)
    assert len(LARGE) > 65536
    scu, scp, seen = route.request(LARGE)
    assert seen == LARGE
    scp.send(pdus.simple_ac(seen))
    assert scu.expect(pdus.AC) == pdus.simple_ac(LARGE)


@pytest.mark.parametrize("kind", ["direct", "small-payload"])
def test_accept_larger_than_any_frame(routes: Callable[[str], Route], kind: str) -> None:
    route = routes(kind)
    scu, scp, seen = route.request(REQUEST)
    padding = b"".join(pdus.item(0x77, bytes([number]) * 60000) for number in range(4))
    accept = pdus.ac(seen, ACCEPTS["as usual"] + padding)
    scp.send(accept)
    assert scu.expect(pdus.AC) == accept
