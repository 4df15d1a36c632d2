"""The six N- services with success, warning and failure statuses, with and without data sets in request and response.

Film Session stands for any SOP class: pynetdicom's print service class answers all six of them.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.sop_class import BasicFilmSession  # type: ignore[attr-defined]

from tests.integration.peers.pynetdicom_peers import Scp, association, offers, plain
from tests.integration.peers.routes import Route

INSTANCE = "1.2.826.0.1.3680043.8.498.1"

SUCCESS = (0x0000,)
WARNINGS = (0x0107, 0x0116, 0xB600)
FAILURES = (0x0105, 0x0106, 0x0110, 0x0112, 0x0118, 0x0119, 0x0120, 0x0122, 0x0211, 0x0213, 0xC616)


def small(name: str) -> Dataset:
    data_set = Dataset()
    data_set.FilmSessionLabel = name
    data_set.NumberOfCopies = 3
    return data_set


def large() -> Dataset:
    """More than the 16 KiB that fit into one PDU."""
    data_set = small("large")
    data_set.ExtendedOffsetTable = bytes(range(256)) * 400
    return data_set


Call = Callable[[Association, Dataset | None], Any]


def create(assoc: Association, data_set: Dataset | None) -> Any:
    return assoc.send_n_create(data_set, BasicFilmSession, INSTANCE, msg_id=1)


def set_(assoc: Association, data_set: Dataset | None) -> Any:
    return assoc.send_n_set(data_set or small("must be there"), BasicFilmSession, INSTANCE, msg_id=3)


def get(assoc: Association, data_set: Dataset | None) -> Any:
    tags = [] if data_set is None else [element.tag for element in data_set]
    return assoc.send_n_get(tags, BasicFilmSession, INSTANCE, msg_id=4)


def action(assoc: Association, data_set: Dataset | None) -> Any:
    return assoc.send_n_action(data_set, 1, BasicFilmSession, INSTANCE, msg_id=5)


def event_report(assoc: Association, data_set: Dataset | None) -> Any:
    return assoc.send_n_event_report(data_set, 2, BasicFilmSession, INSTANCE, msg_id=6)


def delete(assoc: Association, data_set: Dataset | None) -> Any:
    return assoc.send_n_delete(BasicFilmSession, INSTANCE, msg_id=7), None


CALLS: dict[str, tuple[Any, Call]] = {
    "create": (evt.EVT_N_CREATE, create),
    "set": (evt.EVT_N_SET, set_),
    "get": (evt.EVT_N_GET, get),
    "action": (evt.EVT_N_ACTION, action),
    "event-report": (evt.EVT_N_EVENT_REPORT, event_report),
    "delete": (evt.EVT_N_DELETE, delete),
}


class FilmSessionScp:
    """Answers one kind of request with what it is given, and keeps the data sets of the requests, encoded."""

    def __init__(self, event_type: Any) -> None:
        self.event_type = event_type
        self.status = Dataset()
        self.reply: Dataset | None = None
        self.requests: list[bytes] = []

    def answer(self, event: Event) -> Any:
        request: Any = event.request
        fields = ("AttributeList", "ModificationList", "ActionInformation", "EventInformation")
        data_set = next((getattr(request, name) for name in fields if getattr(request, name, None)), None)
        self.requests.append(b"" if data_set is None else data_set.getvalue())
        if self.event_type is evt.EVT_N_DELETE:
            return self.status
        return self.status, self.reply

    def plan(self, code: int, reply: Dataset | None) -> None:
        self.status = Dataset()
        self.status.Status = code
        if code in FAILURES:
            self.status.ErrorComment = f"status {code:04X}"
        self.reply = reply


@pytest.mark.parametrize("service", CALLS)
def test_every_status_with_and_without_data_sets(route: Route, service: str) -> None:
    event_type, call = CALLS[service]
    scp = FilmSessionScp(event_type)
    cases = [
        (code, asked, reply)
        for code in (*SUCCESS, *WARNINGS, *FAILURES)
        for asked in (None, small("asked"))
        for reply in (None, small("reply"))
        if code not in FAILURES or reply is None
    ]

    def run(port: int) -> list[tuple[object, object]]:
        answers: list[tuple[object, object]] = []
        with association(port, offers(BasicFilmSession)) as assoc:
            for code, asked, reply in cases:
                scp.plan(code, reply)
                status, answer = call(assoc, asked)
                assert status.Status == code
                answers.append((plain(status), plain(answer)))
        return answers

    with Scp(route.scp_port, offers(BasicFilmSession), [(event_type, scp.answer)]):
        answers = route.same(run)
    if service != "delete":
        replied = [answer for (code, _, reply), (_, answer) in zip(cases, answers, strict=True) if reply is not None]
        assert replied == [plain(small("reply"))] * len(replied)
    received, again = scp.requests[: len(cases)], scp.requests[len(cases) :]
    assert not again or received == again, "the SCP got different data sets through the pair"
    if service not in ("delete", "get"):
        assert any(received)


@pytest.mark.parametrize("service", ["create", "set", "action", "event-report"])
def test_large_data_sets_both_ways(route: Route, service: str) -> None:
    event_type, call = CALLS[service]
    scp = FilmSessionScp(event_type)
    scp.plan(0x0000, large())

    def run(port: int) -> tuple[object, object]:
        with association(port, offers(BasicFilmSession)) as assoc:
            status, answer = call(assoc, large())
            return plain(status), plain(answer)

    with Scp(route.scp_port, offers(BasicFilmSession), [(event_type, scp.answer)]):
        _, answer = route.same(run)
    assert answer == plain(large())
    assert len(set(scp.requests)) == 1
    assert len(scp.requests[0]) > 100_000
