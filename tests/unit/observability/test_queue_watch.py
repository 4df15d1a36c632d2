"""What is counted and remembered of store and forward, and in which words the page says it."""

from dataclasses import dataclass, replace

import pytest

from dimse_proxy.observability.page import Page
from dimse_proxy.observability.page.words import queue_state
from dimse_proxy.observability.queue_view import FlowView
from dimse_proxy.observability.queue_watch import MOST_TARGETS, MOST_UNREADABLE, QueueWatch, Rate
from dimse_proxy.proxy.depth import Depth
from dimse_proxy.queueing.hooks import QueueObservers
from dimse_proxy.queueing.records import DeadLetter, Parties, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey
from tests.unit.observability.watching import Stage, depth, flow, target

KEY = AssociationKey("CT1", "0" * 20 + "abcdefabcdef")
RECORD = QueuedObject(
    number=3,
    parties=Parties(calling="CT1", called="ARCHIVE", peer=""),
    sop_class="1.2.840.10008.5.1.4.1.1.2",
    sop_instance="1.2.3.PATIENT.MARKER",
    transfer_syntax="1.2.840.10008.1.2",
    priority=0,
    length=1000,
    chunks=1,
    chunk_size=1000,
    accepted=0.0,
)
LETTER = DeadLetter(reason="status", text="status C000H", status=0xC000, tries=1, at=0.0)


@dataclass
class MeterDouble:
    channel: str = "B"
    depth: Depth | None = None
    said: str = ""
    why: str = ""

    def trouble(self) -> str:
        return self.why


class Watching:
    """A watch of one channel both ways, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.watch = QueueWatch(lambda: self.now, lambda: 1_700_000_000 + self.now, forget=60.0)
        self.meter = MeterDouble()
        for direction in ("out", "in"):
            self.watch.add(direction, self.meter, needs_target=lambda: False)

    @property
    def out(self) -> FlowView:
        return self.watch.flows()[0]

    @property
    def brought(self) -> FlowView:
        return self.watch.flows()[1]


def test_everything_that_happens_is_counted() -> None:
    watching = Watching()
    both = QueueObservers([watching.watch, watching.watch])
    both.queue_ready("B", "streams")
    both.queue_trouble("B", "full")
    both.object_queued("B", KEY, RECORD)
    both.object_refused("B", KEY, 0xA700, "it is full")
    both.object_delivered("B", KEY, RECORD, "0000H", False)
    both.object_delivered("B", KEY, RECORD, "B007H", True)
    both.object_put_off("B", KEY, 3, "A700H", 5.0)
    both.object_dead("B", KEY, RECORD, LETTER)
    both.object_unreadable("B", KEY, 4, "no key")
    both.target_rests("B", "ARCHIVE", "refused", 5.0, False)
    both.target_back("B", "ARCHIVE")
    both.handed_over("B", KEY, "5e5510", "C-STORE-RQ of a C-MOVE")
    both.commitment_refused("B", "CT1", "the queue has not drained")
    both.contexts_assumed("B", "ARCHIVE", 2, "away")
    both.swept("B", "chunks")
    out, brought = watching.out.counts, watching.brought.counts
    assert (out.queued, out.queued_bytes, dict(out.refused)) == (2, 2000, {0xA700: 2})
    assert (out.handed_over, out.assumed, out.retried) == (2, 2, 0)
    assert (dict(brought.delivered), brought.delivered_bytes) == ({False: 2, True: 2}, 4000)
    assert (brought.retried, dict(brought.dead), brought.swept, brought.queued) == (2, {"status": 2}, 2, 0)
    assert out.commitments_refused == 2
    assert watching.out.last_trouble == (
        1_700_000_100.0,
        "a request for storage commitment was refused: the queue has not drained",
    )
    assert watching.brought.last_trouble == (1_700_000_100.0, "ARCHIVE: refused")
    assert (watching.brought.unreadable, watching.brought.targets[0].dead) == (1, 2)
    assert "MARKER" not in str(watching.watch.flows())


def test_a_target_rests_is_alarmed_and_comes_back() -> None:
    watching = Watching()
    watch = watching.watch
    watch.object_delivered("B", KEY, RECORD, "0000H", False)
    assert watching.brought.targets[0].state == "good"
    watch.target_rests("B", "ARCHIVE", "connection refused", 30.0, False)
    watching.now += 10
    (found,) = watching.brought.targets
    assert (found.state, found.rests_for, found.text) == ("resting", 20.0, "connection refused")
    assert watching.brought.state == "resting"
    watch.target_rests("B", "ARCHIVE", "rejected: called AE title not recognized", 600.0, True)
    assert watching.brought.state == "alarm"
    watch.target_back("B", "ARCHIVE")
    (found,) = watching.brought.targets
    assert (found.state, found.rests_for, found.text) == ("good", None, "")


def test_a_target_that_nothing_waits_for_does_not_rest_for_ever() -> None:
    watching = Watching()
    watching.watch.target_rests("B", "ARCHIVE", "refused", 30.0, True)
    watching.meter.depth = depth(waiting=0)
    assert watching.brought.targets[0].state == "alarm"
    watching.now += 31
    assert watching.brought.targets[0].state == "good"
    watching.meter.depth = depth(waiting=1)
    assert (watching.brought.targets[0].state, watching.brought.targets[0].rests_for) == ("alarm", 0.0)


def test_unreadable_objects_are_those_that_are_still_told_of() -> None:
    watching = Watching()
    for number in (1, 2, 3, 3):
        watching.watch.object_unreadable("B", KEY, number, "no key")
    assert watching.brought.unreadable == 3
    watching.watch.object_delivered("B", KEY, replace(RECORD, number=1), "0000H", False)
    assert watching.brought.unreadable == 2
    watching.now += 50
    watching.watch.object_unreadable("B", KEY, 3, "no key")
    watching.now += 20
    assert watching.brought.unreadable == 1
    for number in range(MOST_UNREADABLE + 5):
        watching.watch.object_unreadable("B", KEY, number, "no key")
    assert watching.brought.unreadable == MOST_UNREADABLE


def test_called_titles_are_bounded() -> None:
    watching = Watching()
    for number in range(MOST_TARGETS + 5):
        parties = replace(RECORD.parties, called=f"T{number}")
        watching.watch.object_queued("B", KEY, replace(RECORD, parties=parties))
    names = [each.called for each in watching.out.targets]
    assert len(names) == MOST_TARGETS
    assert names[-1] == f"T{MOST_TARGETS + 4}"


def test_a_rate_is_what_comes_steadily_and_fades() -> None:
    rate = Rate()
    for tenth in range(1000):
        rate.add(5.0, tenth / 10)
    assert rate.at(100.0) == pytest.approx(50.0, rel=0.02)
    assert rate.at(200.0) < 0.01


@pytest.mark.parametrize(
    ("shown", "state", "words"),
    [
        (flow(trouble="JetStream is not enabled"), "unusable", "cannot be used"),
        (flow("in", targets=[target(rests_for=1.0), target("P2", rests_for=1.0, is_alarm=True)]), "alarm", "needs"),
        (flow("in", targets=[target(), target("P2", rests_for=1.0)]), "resting", "target rests"),
        (flow(depth=None), "unknown", "not looked at yet"),
        (flow(), "waiting", "takes objects"),
        (flow("in"), "waiting", "flows"),
        (flow("in", objects_rate=0.0), "waiting", "waiting"),
        (flow(depth=depth(waiting=0, oldest=None)), "empty", "empty"),
    ],
)
def test_the_state_is_the_worst_that_is_true(shown: FlowView, state: str, words: str) -> None:
    (queue,) = Stage(flows=[shown]).snapshot.queues()
    assert queue["state"] == state
    assert queue_state(queue).startswith(words)


def test_the_section_is_there_only_where_something_is_queued() -> None:
    assert "queues-title" not in Page(Stage().snapshot).document()
    assert "queues" not in Page(Stage().snapshot).pieces()


def test_the_page_shows_what_waits_and_why() -> None:
    watching = Watching()
    watching.watch.object_queued("B", KEY, RECORD)
    watching.watch.object_delivered("B", KEY, RECORD, "B007H", True)
    watching.watch.object_put_off("B", KEY, 3, "status A700H", 5.0)
    watching.watch.object_dead("B", KEY, RECORD, LETTER)
    watching.watch.object_unreadable("B", KEY, 9, "no key")
    watching.watch.target_rests("B", "ARCHIVE", "rejected <b>", 30.0, True)
    watching.meter.depth = depth(dead=1)
    stage = Stage(flows=list(watching.watch.flows()))
    page = Page(stage.snapshot)
    document, rows = page.document(), page.pieces()["queues"]
    assert "queues-title" in document
    for words in (
        'id="queue-out-B"',
        "to channel B",
        "1 queued, 0 refused",
        "1 delivered, 1 of them with a warning, 1 tried again, 1 given up",
        "3.0 MB<small>of 10.0 MB</small>",
        "1 min 0 s",
        "needs somebody, tried again in 30.0 s",
        "1 unreadable",
        "rejected &lt;b&gt;",
    ):
        assert words in rows, words
    assert "<b>" not in rows
    assert "nothing is delivered to ARCHIVE before somebody changes something" in page.pieces()["alert"]
    assert "Not everything works." in page.pieces()["alert"]


def test_what_is_wrong_now_goes_before_what_was() -> None:
    last = (1_700_000_000.0, "status A700H")
    rows = Page(Stage(flows=[flow(said="it is full", last_trouble=last)]).snapshot).pieces()["queues"]
    assert "it is full" in rows
    assert "A700H" not in rows
    rows = Page(Stage(flows=[flow(last_trouble=last, depth=None)]).snapshot).pieces()["queues"]
    assert "last, 2023-11-14 22:13:20: status A700H" in rows


def test_a_target_that_is_tried_just_now() -> None:
    rows = Page(Stage(flows=[flow("in", targets=[target(rests_for=0.0), target("P2")])]).snapshot).pieces()["queues"]
    assert "rests, is tried again now" in rows
    assert "takes objects" in rows
    empty = depth(waiting=0, oldest=None)
    rows = Page(Stage(flows=[flow(depth=empty, targets=[target()])]).snapshot).pieces()["queues"]
    assert "for ARCHIVE" in rows
    assert "takes objects" not in rows, "that is known at the other side"
