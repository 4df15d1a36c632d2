"""A-ASSOCIATE-AC bytes of real SCPs: what one and the same raw SCU gets directly and through the pair."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import pytest
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from tests.integration.peers import dcmtk
from tests.integration.peers.waiting import LOOPBACK, listens, wait_until
from tests.integration.wire import pdus, raw_peers
from tests.integration.wire.conftest import Route, StandingPairs

MANY: Final = b"".join(
    pdus.proposed(number, uid, pdus.JPEG_BASELINE, pdus.EXPLICIT, pdus.IMPLICIT)
    for number, uid in zip(
        range(1, 257, 2),
        [pdus.VERIFICATION, pdus.CT_STORAGE, pdus.MR_STORAGE, pdus.SECONDARY_CAPTURE, pdus.STUDY_FIND, "1.2.3.4.5"]
        * 22,
        strict=False,
    )
)
SEVERAL: Final = b"".join(
    pdus.proposed(number, pdus.CT_STORAGE, syntax)
    for number, syntax in ((9, pdus.IMPLICIT), (7, pdus.EXPLICIT), (5, pdus.JPEG_BASELINE), (3, "1.2.3"))
)
QUERY: Final = b"".join(
    pdus.proposed(number, uid, pdus.EXPLICIT, pdus.IMPLICIT)
    for number, uid in ((1, pdus.STUDY_FIND), (3, pdus.STUDY_MOVE), (5, pdus.STUDY_GET), (7, pdus.CT_STORAGE))
)

REQUESTS: Final = {
    "128 contexts": pdus.rq(MANY),
    "several contexts of one class": pdus.rq(SEVERAL),
    "asynchronous window": pdus.rq(SEVERAL, pdus.USER + pdus.asynchronous_window(8, 8)),
    "role selection": pdus.rq(QUERY, pdus.USER + pdus.role(pdus.CT_STORAGE, 1, 1) + pdus.role(pdus.STUDY_GET, 1, 0)),
    "extended negotiation": pdus.rq(QUERY, pdus.USER + pdus.extended(pdus.STUDY_FIND, b"\1\1\1")),
    "common extended negotiation": pdus.rq(
        SEVERAL, pdus.USER + pdus.common_extended(pdus.CT_STORAGE, "1.2.840.10008.4.2", pdus.MR_STORAGE)
    ),
    "user identity": pdus.rq(SEVERAL, pdus.USER + pdus.identity(3, b"a Kerberos ticket")),
    "unknown sub-item": pdus.rq(SEVERAL, pdus.USER + pdus.item(0x5F, b"of another century")),
    "maximum length 0": pdus.rq(MANY, pdus.maximum_length(0) + pdus.implementation()),
    "maximum length 4096": pdus.rq(MANY, pdus.maximum_length(4096) + pdus.implementation()),
    "padded titles": pdus.rq(MANY, called=b"RAWSCP".ljust(16, b"\0"), calling=b"   RAWSCU".ljust(16)),
    "reserved bytes": pdus.rq(SEVERAL, reserved=bytes(range(1, 36))),
    "nothing that anybody knows": pdus.rq(pdus.proposed(1, "1.2.3.4.5", "1.2.3.4.6")),
}

UNREADABLE_FOR_PYNETDICOM: Final = ("unknown sub-item", "padded titles")
"""It aborts these; that must come through too."""


def answer(port: int, request: bytes) -> bytes:
    """The acceptor's answer to `request`; an association that comes of it is released."""
    with raw_peers.connect(port) as scu:
        scu.send(request)
        found = scu.read_pdu()
        if found[0] == pdus.AC:
            scu.send(pdus.release_rq())
            scu.expect(pdus.RELEASE_RP)
        return found


@pytest.fixture(scope="module")
def target_port(pairs: StandingPairs) -> int:
    """The port that the plain pair calls."""
    return pairs.target_port("plain")


@contextmanager
def pynetdicom_scp(port: int) -> Iterator[None]:
    """An SCP that answers every kind of negotiation."""
    ae = AE("RAWSCP")
    ae.maximum_associations = 100
    for uid in (pdus.VERIFICATION, pdus.CT_STORAGE, pdus.STUDY_FIND, pdus.STUDY_GET):
        ae.add_supported_context(uid, [pdus.EXPLICIT, pdus.IMPLICIT], scu_role=True, scp_role=True)
    handlers: list[tuple[Any, ...]] = [
        (evt.EVT_ASYNC_OPS, lambda event: (event.nr_invoked, 1)),
        (evt.EVT_SOP_EXTENDED, lambda event: dict(event.app_info)),
        (evt.EVT_SOP_COMMON, lambda event: {}),
        (evt.EVT_USER_ID, lambda event: (True, b"a ticket of some kind")),
    ]
    server = ae.start_server((LOOPBACK, port), block=False, evt_handlers=handlers)
    assert isinstance(server, ThreadedAssociationServer)
    yield
    server.shutdown()


@pytest.fixture(scope="module", params=["storescp", "dcmqrscp", "pynetdicom"])
def scp(request: pytest.FixtureRequest, target_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real SCP at the port that the plain pair calls; its name."""
    folder = tmp_path_factory.mktemp(request.param)
    match request.param:
        case "storescp":
            peer: AbstractContextManager[object] = dcmtk.storescp(target_port, folder, ae="RAWSCP")
        case "dcmqrscp":
            peer = dcmtk.dcmqrscp(target_port, folder, ae="RAWSCP")
        case _:
            peer = pynetdicom_scp(target_port)
    with peer:
        yield request.param
    # dcmqrscp's children hold its listening socket.
    wait_until(lambda: not listens(target_port), seconds=10, what=f"{request.param} to leave its port")


@pytest.mark.parametrize("path", ["direct", "pair"])
@pytest.mark.parametrize("name", REQUESTS)
def test_accept_is_the_same_as_directly(
    scp: str, name: str, path: str, routes: Callable[[str], Route], target_port: int
) -> None:
    directly = answer(target_port, REQUESTS[name])
    assert directly[0] == (pdus.ABORT if scp == "pynetdicom" and name in UNREADABLE_FOR_PYNETDICOM else pdus.AC)
    port = target_port if path == "direct" else routes("plain").called_port
    assert answer(port, REQUESTS[name]) == directly
    if name == "user identity" and scp == "pynetdicom":
        # Without this nobody would notice if the comparison were one of answers that leave the response out.
        user = next(value for kind, value in pdus.items(directly) if kind == 0x50)
        assert pdus.identity_response(b"a ticket of some kind")[4:] in [value for _, value in pdus.split_items(user)]
