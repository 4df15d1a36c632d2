import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dimse_proxy.dimse.tracking import RequestInProgress
from dimse_proxy.observability.page import CONTENT_SECURITY_POLICY, MOST_LIVE, Page
from dimse_proxy.observability.page.graph import throughput_graph
from dimse_proxy.observability.page.words import in_bytes, in_seconds, in_time
from dimse_proxy.proxy.hooks import EndCause
from tests.unit.observability.watching import TARGET, Stage, ending, peer, refusal, routes


def test_nothing_from_peers_becomes_markup() -> None:
    stage = Stage()
    asked = stage.ask(calling="<script>x</script>", called='"><img>', peer="<i>", target="<u>")
    asked.operations_refused["<b>"] = 1
    stage.end(stage.ask(calling="<script>x</script>"), refusal(cause="<script>why</script>"))
    stage.tunnel.known = [peer(instance="<script>", version="<script>")]
    document = Page(stage.snapshot).document()
    assert document.count("<script>") == 1
    assert not re.search(r"<(i|u|img)>|<b>:|<small><b>", document)
    assert "&lt;script&gt;why" in document


def test_a_policy_that_lets_nothing_else_run() -> None:
    assert "'unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    document = Page(Stage().snapshot).document()
    assert not re.search(r"\son\w+=|style=|src=|@import|url\(", document)


def test_the_page_shows_how_things_are() -> None:
    stage = Stage()
    page = Page(stage.snapshot)
    assert ">ready<" in page.pieces()["ready"]
    assert page.pieces()["alert"] == ""
    stage.ask()
    stage.end(stage.ask(), ending(EndCause.OPERATOR, "aborted by an operator of this proxy"))
    pieces = page.pieces()
    assert 'id="live-1"' in pieces["live"]
    assert "waits for the answer" in pieces["live"]
    assert "aborted by an operator" in pieces["ended"]
    assert "not asked yet" in pieces["parts"]
    stage.health.target_said(TARGET, "connection refused")
    assert "connection refused" in page.pieces()["parts"]
    stage.tunnel.known = [peer(instance=f"b{number}", going_away=True) for number in range(7)]
    assert "shutting down" in page.pieces()["alert"]
    stage.tunnel.known = [peer(instance="b1", late_at=99.0, last_seen=90.0), peer(instance="b2", compatible=False)]
    assert "not heard for 10.0 s" in page.pieces()["parts"]
    assert "another version" in page.pieces()["parts"]
    stage.tunnel.is_connected = False
    stage.health.nats_disconnected("the server is gone")
    pieces = page.pieces()
    assert "the server is gone" in pieces["alert"]
    assert ">not connected<" in pieces["parts"]
    assert "nobody is heard" in pieces["parts"]


def test_what_is_and_was_under_way_is_named() -> None:
    stage = Stage()
    request = RequestInProgress(
        from_requestor=True,
        context_id=1,
        service="C-STORE",
        message_id=7,
        sop_class_uid="",
        begun=60.0,
        since=70.0,
        is_whole=True,
    )
    asked = stage.ask(in_progress=lambda: (request,))
    page = Page(stage.snapshot)
    assert "no answer to C-STORE 7 from the other side for 30.0 s" in page.pieces()["live"]
    stage.end(asked, replace(ending(EndCause.END_POINT_LOST, duration=5.0), unanswered=(request,)))
    assert "unanswered: C-STORE 7, 35.0 s ago" in page.pieces()["ended"]


def test_a_proxy_without_target_says_so() -> None:
    stage = Stage(routes=routes(targets=()))
    assert "only originates" in Page(stage.snapshot).pieces()["parts"]


def test_buttons_only_where_there_is_a_token() -> None:
    for can_act in (False, True):
        stage = Stage(can_act=can_act)
        stage.ask()
        document = Page(stage.snapshot).document()
        assert ('data-post="api/v1/associations/1/abort"' in document) is can_act
        assert ('id="unlock"' in document) is can_act


def test_many_are_not_all_shown() -> None:
    stage = Stage()
    for _ in range(MOST_LIVE + 5):
        stage.ask()
    pieces = Page(stage.snapshot).pieces()
    assert pieces["live"].count("<tr") == MOST_LIVE
    assert f"The {MOST_LIVE} newest of {MOST_LIVE + 5}" in pieces["live-note"]
    assert len(stage.snapshot.live()) == MOST_LIVE + 5


def test_ended_rows_are_rendered_again_only_when_there_is_a_new_one() -> None:
    stage = Stage()
    page = Page(stage.snapshot)
    stage.end(stage.ask(), ending())
    assert page.pieces()["ended"] is page.pieces()["ended"]
    before = page.pieces()["ended"]
    stage.end(stage.ask(), ending())
    assert page.pieces()["ended"].count("<tr") == before.count("<tr") + 1


def test_routes_and_settings() -> None:
    document = Page(Stage().snapshot).document()
    assert "INGESTION, any AE title" in document
    assert "WS1_REMOTE" in document
    assert "PACS@pacs:104" in document
    assert "********" in document


@pytest.mark.parametrize("values", [[], [5.0], [0.0, 1e9, 3.0], [1.0] * 180])
def test_a_graph_of_any_length_stays_in_its_picture(values: list[float]) -> None:
    picture = throughput_graph(values, values, 5.0)
    for points in re.findall(r'points="([^"]+)"', picture):
        for x, y in (pair.split(",") for pair in points.split()):
            assert 75 <= float(x) <= 1200
            assert 9 <= float(y) <= 150
    assert "aria-label=" in picture


def test_numbers_for_people() -> None:
    assert [in_bytes(count) for count in (0, 999, 1000, 99_940, 123_456, 5e9, 1e18)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "99.9 kB",
        "123 kB",
        "5.0 GB",
        "1000 PB",
    ]
    assert [in_seconds(seconds) for seconds in (0.0004, 0.035, 2.14, 200, 18_720, 273_600)] == [
        "0.4 ms",
        "35 ms",
        "2.1 s",
        "3 min 20 s",
        "5 h 12 min",
        "3 d 4 h",
    ]
    now = datetime.now(UTC)
    assert len(in_time(now)) == 8
    assert len(in_time(now - timedelta(days=2))) == 19
