from dataclasses import replace

import pytest

from dimse_proxy.dimse.tracking import RequestInProgress
from dimse_proxy.observability.page.words import under_way, where_to
from dimse_proxy.observability.state import BINS, MOST_ENDED
from dimse_proxy.proxy.hooks import EndCause, Side
from tests.unit.observability.watching import STORE_RQ, STORE_RSP, Stage, ending, message, record, refusal


def test_a_live_association_has_a_rate_and_what_it_does() -> None:
    stage = Stage()
    asked = stage.ask()
    stage.state.sample(100.0)
    for second in range(1, 11):
        asked.bytes_from_requestor += 1_000_000
        stage.state.sample(100.0 + second)
    stage.state.message_seen(asked, message(STORE_RQ, from_requestor=True))
    stage.state.message_seen(asked, message(STORE_RSP, from_requestor=False))
    stage.state.message_seen(record(), message(STORE_RQ, from_requestor=True))
    stage.now = 110.0
    (live,) = stage.snapshot.live()
    assert (live["services"], live["failures"], live["age"], live["state"]) == ({"C-STORE": 1}, 1, 10.0, "asking")
    assert 990_000 < live["rate"] <= 1_000_000
    assert stage.state.rate[0] > 990_000
    assert stage.state.find(1) is asked
    assert stage.state.find(2) is None
    for second in range(11, 60):
        stage.state.sample(100.0 + second)
    assert stage.snapshot.live()[0]["rate"] == 0.0


def test_only_the_last_ended_ones_are_kept() -> None:
    stage = Stage()
    for number in range(MOST_ENDED + 50):
        stage.end(stage.ask(session=str(number)), ending())
    ended = stage.snapshot.ended()
    assert len(ended) == MOST_ENDED
    assert ended[0]["number"] == MOST_ENDED + 50
    assert not stage.state.live


def test_how_it_ended() -> None:
    stage = Stage()
    stage.end(stage.ask(), ending(EndCause.END_POINT_LOST, "connection to CT1 lost"))
    asked = stage.ask()
    stage.now = 103.0
    stage.end(asked, refusal())
    stage.end(record(Side.REQUESTOR), refusal("no-target"))
    third, second, first = stage.snapshot.ended()
    assert (first["cause"], first["outcome"]) == ("end-point-lost", "connection to CT1 lost")
    assert (second["cause"], second["code"], second["duration"]) == ("refused", "limit", 3.0)
    assert second["outcome"] == "refused: full (result 2, source 3, reason 2)"
    assert third["code"] == "no-target"


def under_way_since(stage: Stage, side: Side, *, is_whole: bool, from_requestor: bool = True) -> dict[str, object]:
    request = RequestInProgress(
        from_requestor=from_requestor,
        context_id=1,
        service="C-STORE",
        message_id=7,
        sop_class_uid="",
        begun=100.0,
        since=104.0 if is_whole else 100.0,
        is_whole=is_whole,
    )
    asked = stage.ask(side=side, target="PACS@pacs:104", in_progress=lambda: (request, request))
    (live,) = stage.snapshot.live()
    stage.end(asked, replace(ending(EndCause.TUNNEL), unanswered=(request,)))
    return live


@pytest.mark.parametrize(
    ("side", "from_requestor", "who"),
    [
        (Side.ACCEPTOR, True, "the other side"),
        (Side.ACCEPTOR, False, "CT1"),
        (Side.REQUESTOR, True, "PACS@pacs:104"),
        (Side.REQUESTOR, False, "the other side"),
    ],
)
def test_what_is_under_way_and_who_is_waited_for(side: Side, from_requestor: bool, who: str) -> None:
    stage = Stage(now=105.0)
    live = under_way_since(stage, side, is_whole=True, from_requestor=from_requestor)
    assert live["in_progress"] == {
        "requests": 2,
        "service": "C-STORE",
        "message_id": 7,
        "whole": True,
        "seconds": 1.0,
        "waits_for": "other side" if who == "the other side" else "end point",
    }
    assert under_way(live) == ""
    stage.now = 110.0
    live = under_way_since(stage, side, is_whole=True, from_requestor=from_requestor)
    assert under_way(live) == f"no answer to C-STORE 7 from {who} for 6.0 s"
    assert under_way(under_way_since(stage, side, is_whole=False)) == "C-STORE under way"
    assert stage.snapshot.ended()[0]["unanswered"] == "C-STORE 7, 2.0 s under way"
    stage.ask()
    assert under_way(stage.snapshot.live()[0]) == ""


def test_where_an_association_goes() -> None:
    stage = Stage()
    stage.ask(channel="B", target="B")
    stage.ask(target="nobody: no presentation context passed the filter")
    stage.ask(side=Side.REQUESTOR, channel="A", target="PACS@pacs:104")
    there, nobody, here = map(where_to, reversed(stage.snapshot.live()))
    assert (there, nobody) == ("channel B", "nobody: no presentation context passed the filter")
    assert here == "PACS@pacs:104"


def test_fifteen_minutes_of_throughput() -> None:
    stage = Stage()
    asked = stage.ask(side=Side.REQUESTOR)
    for second in range(0, 3000):
        asked.bytes_from_requestor += 50
        asked.bytes_from_acceptor += 20
        stage.state.sample(float(second))
    throughput = stage.snapshot.throughput()
    assert throughput == {"seconds": 5.0, "out": [20.0] * BINS, "in": [50.0] * BINS}


def test_a_pause_is_spread_over_its_points() -> None:
    stage = Stage()
    asked = stage.ask()
    stage.state.sample(0.0)
    asked.bytes_from_requestor += 1000
    stage.state.sample(20.5)
    assert stage.snapshot.throughput()["out"] == [50.0] * 4
    stage.state.sample(20.5)
    assert len(stage.snapshot.throughput()["out"]) == 4
