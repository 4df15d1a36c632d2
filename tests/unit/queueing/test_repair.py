"""What is written and deleted by hand: whatever breaks off, nothing is lost, and it can be done again."""

import json

import pytest

from dimse_proxy.queueing.listing import Listed, State
from dimse_proxy.queueing.records import Attempt, decode_attempt
from dimse_proxy.queueing.repair import (
    Purge,
    Put,
    anew,
    may_move,
    may_purge,
    may_retry,
    steps_to_purge,
    steps_to_purge_all,
    steps_to_retry,
)
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind

FLOW = Flow(root="DIMSE", sender="A", receiver="B")
KEY = AssociationKey("CT1", "0" * 32)
TRIED = Attempt(tries=7, last="A700H", status=0xA700, at=1.0, not_before=99.0, called="OTHER")


def test_tries_begin_anew_and_it_is_still_a_redelivery() -> None:
    fresh = anew(TRIED, 50.0)
    assert (fresh.tries, fresh.not_before, fresh.begun, fresh.called) == (0, 50.0, 50.0, "OTHER")
    assert anew(None, 50.0).called == ""
    assert anew(TRIED, 50.0, called="THIRD").called == "THIRD"


def test_a_dead_letter_dies_last_of_all() -> None:
    put, purge = steps_to_retry(FLOW, KEY, 3, anew(None, 5.0), is_dead=True)
    assert isinstance(put, Put)
    assert put.subject == FLOW.of_object(Kind.ATTEMPT, KEY, 3)
    assert decode_attempt(put.data).begun == 5.0
    assert purge == Purge(FLOW.of_object(Kind.DEAD, KEY, 3))
    assert steps_to_retry(FLOW, KEY, 3, anew(None, 5.0), is_dead=False) == (put,)


def test_an_attempt_of_an_earlier_version_is_read() -> None:
    fields = {"version": 1, "what": "attempt", "tries": 1, "last": "", "status": None, "at": 1.0, "not_before": 2.0}
    assert decode_attempt(json.dumps(fields).encode()).begun == 0.0


@pytest.mark.parametrize(
    ("state", "is_tried", "kinds"),
    [
        (State.WAITING, False, ["record", "chunk"]),
        (State.RESTING, True, ["record", "attempt", "chunk"]),
        (State.DEAD, False, ["record", "dead", "chunk"]),
        (State.DEAD, True, ["record", "dead", "attempt", "chunk"]),
    ],
)
def test_the_record_goes_first_and_the_data_last(state: State, is_tried: bool, kinds: list[str]) -> None:
    steps = steps_to_purge(FLOW, Listed(KEY, 3, state, is_tried))
    assert [step.subject.split(".")[4] for step in steps] == kinds
    last = steps[-1]
    assert isinstance(last, Purge)
    assert last == Purge(FLOW.chunks_of(KEY, 3), is_chunk=True)


@pytest.mark.parametrize("state", [State.WAITING, State.RESTING, State.DEAD])
def test_wherever_it_breaks_off_an_object_is_whole_or_gone(state: State) -> None:
    """A record is never without its chunks, and a dead letter is dead until it is deliverable."""
    listed = Listed(KEY, 3, state, state is State.RESTING)
    retry = steps_to_retry(FLOW, KEY, 3, anew(None, 5.0), is_dead=state is State.DEAD)
    for steps in (retry, steps_to_purge(FLOW, listed), steps_to_purge_all(FLOW, KEY)):
        for done in range(len(steps) + 1):
            there = {FLOW.of_object(Kind.RECORD, KEY, 3), FLOW.chunk(KEY, 3, 0)}
            if state is State.DEAD:
                there.add(FLOW.of_object(Kind.DEAD, KEY, 3))
            for step in (*steps[:done], *steps):  # And from the beginning.
                match step:
                    case Put(subject, _):
                        there.add(subject)
                    case Purge(subject, _):
                        there = {name for name in there if not name.startswith(subject.rstrip(">*"))}
                is_deliverable = FLOW.of_object(Kind.RECORD, KEY, 3) in there
                assert not is_deliverable or FLOW.chunk(KEY, 3, 0) in there
                if steps is retry and state is State.DEAD and FLOW.of_object(Kind.DEAD, KEY, 3) not in there:
                    assert FLOW.of_object(Kind.ATTEMPT, KEY, 3) in there
            assert (FLOW.of_object(Kind.RECORD, KEY, 3) in there) is (steps is retry)
            assert FLOW.of_object(Kind.DEAD, KEY, 3) not in there


def test_what_may_be_done_to_which() -> None:
    assert {state for state in State if may_retry(state)} == {State.DEAD, State.RESTING}
    assert {state for state in State if may_move(state)} == {State.DEAD, State.RESTING, State.WAITING}
    assert {state for state in State if not may_purge(state)} == {State.DELIVERING}
