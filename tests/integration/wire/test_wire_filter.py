"""A dimse-config folder that refuses some presentation contexts, at either proxy: what each end sees."""

from collections.abc import Callable
from typing import Final

import pytest

from tests.integration.wire import pdus
from tests.integration.wire.conftest import SIDES, Route

EXTENDED_OF_MR: Final = pdus.extended(pdus.MR_STORAGE, b"\1\0\0\0\0\0")
EXTENDED_OF_FIND: Final = pdus.extended(pdus.STUDY_FIND, b"\1\1")
COMMON_OF_MR: Final = pdus.common_extended(pdus.MR_STORAGE, "1.2.840.10008.4.2", pdus.CT_STORAGE)

MIXED: Final = pdus.rq(
    pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)
    + pdus.proposed(3, pdus.CT_STORAGE, pdus.JPEG_BASELINE, pdus.IMPLICIT, reserved=b"\1\2\3")
    + pdus.proposed(5, pdus.MR_STORAGE, pdus.EXPLICIT, pdus.IMPLICIT)
    + pdus.proposed(7, pdus.CT_STORAGE, pdus.JPEG_BASELINE)
    + pdus.proposed(9, pdus.STUDY_FIND, pdus.JPEG_BASELINE),
    pdus.USER
    + pdus.role(pdus.MR_STORAGE, 0, 1)
    + EXTENDED_OF_MR
    + pdus.role(pdus.CT_STORAGE, 1, 1)
    + EXTENDED_OF_FIND
    + COMMON_OF_MR
    + pdus.identity(1, b"someone"),
    reserved=bytes(range(1, 36)),
)
LEFT: Final = pdus.rq(
    pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)
    + pdus.proposed(3, pdus.CT_STORAGE, pdus.IMPLICIT, reserved=b"\1\2\3")
    + pdus.proposed(9, pdus.STUDY_FIND, pdus.JPEG_BASELINE),
    pdus.USER + pdus.role(pdus.CT_STORAGE, 1, 1) + EXTENDED_OF_FIND + pdus.identity(1, b"someone"),
    reserved=bytes(range(1, 36)),
)
ANSWER_USER: Final = pdus.item(0x50, pdus.USER + pdus.role(pdus.CT_STORAGE, 0, 1) + pdus.item(0x5F, b"unknown"))

NOTHING_LEFT: Final = pdus.rq(
    pdus.proposed(5, pdus.MR_STORAGE, pdus.EXPLICIT, pdus.IMPLICIT)
    + pdus.proposed(7, pdus.CT_STORAGE, pdus.JPEG_BASELINE)
    + pdus.proposed(9, pdus.SECONDARY_CAPTURE, pdus.IMPLICIT)
)

EITHER_SIDE: Final = pytest.mark.parametrize("kind", ["filter-a", "filter-b"])


@EITHER_SIDE
def test_refused_contexts_are_taken_out_and_keep_their_places(routes: Callable[[str], Route], kind: str) -> None:
    scu, scp, seen = routes(kind).request(MIXED)
    assert seen == LEFT
    scp.send(
        pdus.ac(
            seen,
            pdus.APPLICATION
            + pdus.answered(1, 0)
            + pdus.answered(3, 0)
            + pdus.answered(9, 0, pdus.JPEG_BASELINE)
            + ANSWER_USER,
        )
    )
    wanted = pdus.ac(
        MIXED,
        pdus.APPLICATION
        + pdus.answered(1, 0)
        + pdus.answered(3, 0)
        + pdus.answered(5, 3, pdus.EXPLICIT)
        + pdus.answered(7, 4, pdus.JPEG_BASELINE)
        + pdus.answered(9, 0, pdus.JPEG_BASELINE)
        + ANSWER_USER,
    )
    assert scu.expect(pdus.AC) == wanted


@EITHER_SIDE
def test_what_the_target_refuses_is_told_apart_only_in_the_log(routes: Callable[[str], Route], kind: str) -> None:
    scu, scp, seen = routes(kind).request(MIXED)
    answers = pdus.answered(1, 0) + pdus.answered(3, 2, None) + pdus.answered(9, 1, "")
    scp.send(pdus.ac(seen, pdus.APPLICATION + answers + ANSWER_USER))
    accept = scu.expect(pdus.AC)
    assert pdus.results(accept) == [(1, 0), (3, 2), (5, 3), (7, 4), (9, 1)]
    assert pdus.answered(3, 2, None) in accept
    assert pdus.answered(9, 1, "") in accept


@EITHER_SIDE
def test_refused_context_cannot_be_used(routes: Callable[[str], Route], kind: str) -> None:
    scu, scp = routes(kind).associate(MIXED)
    scu.send(pdus.command_pdu(pdus.store_rq(sop_class=pdus.MR_STORAGE), 5))
    assert scu.expect(pdus.ABORT)[8] == 2
    assert scp.expect(pdus.ABORT)[8] == 2


@EITHER_SIDE
def test_accepted_context_is_used_under_its_own_number(routes: Callable[[str], Route], kind: str) -> None:
    scu, scp = routes(kind).associate(MIXED)
    message = pdus.command_pdu(pdus.find_rq(), 9) + pdus.data_pdus(b"identifier", 9)
    scu.send(message)
    scp.expect_exactly(message)


@EITHER_SIDE
def test_nothing_left_is_answered_without_the_target(routes: Callable[[str], Route], kind: str) -> None:
    """The AC that a target gives which supports none of the contexts; DCMTK's storescp would not answer at all."""
    route = routes(kind)
    assert route.acceptor
    scu = route.call()
    scu.send(NOTHING_LEFT)
    accept = scu.expect(pdus.AC)
    assert pdus.results(accept) == [(5, 3), (7, 4), (9, 3)]
    assert pdus.titles(accept) == pdus.titles(NOTHING_LEFT)
    assert (0x10, pdus.APPLICATION_CONTEXT.encode()) in pdus.items(accept)
    user = dict(pdus.split_items(next(value for number, value in pdus.items(accept) if number == 0x50)))
    assert {0x51, 0x52, 0x55} <= user.keys()

    scu.send(pdus.release_rq())
    scu.expect_exactly(pdus.release_rp())
    route.acceptor.expect_no_association(0.3)


@EITHER_SIDE
def test_nothing_left_then_data_is_a_violation(routes: Callable[[str], Route], kind: str) -> None:
    route = routes(kind)
    assert route.acceptor
    scu = route.call()
    scu.send(NOTHING_LEFT)
    scu.expect(pdus.AC)
    scu.send(pdus.command_pdu(pdus.store_rq(sop_class=pdus.MR_STORAGE), 5))
    assert scu.expect(pdus.ABORT)[8] == 2


@EITHER_SIDE
def test_refused_contexts_and_who_refused_them_are_logged(routes: Callable[[str], Route], kind: str) -> None:
    route = routes(kind)
    scu, scp, seen = route.request(MIXED)
    answers = pdus.answered(1, 0) + pdus.answered(3, 0) + pdus.answered(9, 3)
    scp.send(pdus.ac(seen, pdus.APPLICATION + answers + ANSWER_USER))
    scu.expect(pdus.AC)
    scu.send(pdus.abort(0, 0))
    scp.expect(pdus.ABORT)
    scu.close()
    route.wait_for_log("a", "association ended")
    refused = str([line for line in route.logged("a") if "refused" in str(line)])
    for name in ("5: MR Image Storage", "7: CT Image Storage", "9: Study Root Query/Retrieve"):
        assert name in refused, refused
    side = SIDES[kind == "filter-b"]
    lines = {line["by"]: line["contexts"] for line in route.logged(side) if "by" in line}
    assert [len(lines[by]) for by in sorted(lines, key=lambda by: "DIMSE_CONFIG_PATH" not in by)] == [2, 1], lines
