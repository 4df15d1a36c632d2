"""The rules: which associations are queued, what a status means, how long to wait, who may deliver, what lies about."""

import pytest

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.queueing.backoff import Backoff, TargetGate
from dimse_proxy.queueing.claims import LEASE_TIME, Limits, Plan, judge_lease, plan
from dimse_proxy.queueing.eligible import is_answered_here, is_queued
from dimse_proxy.queueing.outcome import Outcome, is_lasting, judge_status
from dimse_proxy.queueing.records import Attempt, Lease, Parties, QueuedObject
from dimse_proxy.queueing.streams import planned_consumer, planned_streams, wrong_settings
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind
from dimse_proxy.queueing.upkeep import ORPHAN_AGE, UPLOAD_GAP, Census, note_chunks
from dimse_proxy.upper_layer.codec import decode_associate_request
from dimse_proxy.upper_layer.pdu import ProposedContext, RoleSelection, UserIdentityRequest, UserItem
from tests.unit.dimse.messages import echo_request
from tests.unit.queueing.dialogue import CT, IMPLICIT, MR, VERIFICATION, proposed, request, store_rq

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
FLOW = Flow(root="DIMSE", sender="A", receiver="B")


def identity() -> UserItem:
    return UserIdentityRequest(identity_type=1, positive_response_requested=0, primary_field=b"me", secondary_field=b"")


def role(scp_role: int) -> UserItem:
    return RoleSelection(sop_class_uid=CT, scu_role=1, scp_role=scp_role)


@pytest.mark.parametrize(
    ("contexts", "items", "is_alias", "queued"),
    [
        ([(1, CT)], (), False, True),
        ([(1, CT), (3, MR), (5, VERIFICATION)], (), False, True),
        ([(1, CT)], (role(0),), False, True),
        ([(1, VERIFICATION)], (), False, False),
        ([(1, CT), (3, FIND)], (), False, False),
        ([(1, CT)], (), True, False),
        ([(1, CT)], (identity(),), False, False),
        ([(1, CT)], (role(1),), False, False),
    ],
)
def test_which_associations_are_queued(
    contexts: list[tuple[int, str]], items: tuple[UserItem, ...], is_alias: bool, queued: bool
) -> None:
    asked: list[ProposedContext] = [proposed(number, syntax, IMPLICIT) for number, syntax in contexts]
    found = decode_associate_request(request(*asked, items=items))
    assert is_queued(found, is_storage=lambda uid: uid != FIND, is_alias=is_alias) is queued


def test_which_commands_are_answered_here() -> None:
    assert is_answered_here(CommandSet.decode(store_rq()))
    assert is_answered_here(CommandSet.decode(echo_request()))
    assert not is_answered_here(CommandSet.decode(store_rq(originator=b"PACS")))


@pytest.mark.parametrize(
    ("status", "again", "outcome", "is_warning"),
    [
        (0x0000, False, Outcome.DELIVERED, False),
        (0xB000, False, Outcome.DELIVERED, True),
        (0x0116, False, Outcome.DELIVERED, True),
        (0x0111, True, Outcome.DELIVERED, False),
        (0x0111, False, Outcome.DEAD, False),
        (0xA700, False, Outcome.TRY_AGAIN, False),
        (0xA7FF, True, Outcome.TRY_AGAIN, False),
        (0x0110, False, Outcome.TRY_AGAIN, False),
        (0x0124, False, Outcome.TRY_AGAIN, False),
        (0x0213, False, Outcome.TRY_AGAIN, False),
        (0xA900, False, Outcome.DEAD, False),
        (0xC123, True, Outcome.DEAD, False),
        (0x0122, False, Outcome.DEAD, False),
        (0xFF00, False, Outcome.DEAD, False),
        (None, False, Outcome.TRY_AGAIN, False),
    ],
)
def test_what_a_status_makes_of_an_object(status: int | None, again: bool, outcome: Outcome, is_warning: bool) -> None:
    verdict = judge_status(status, is_redelivery=again)
    assert (verdict.outcome, verdict.is_warning) == (outcome, is_warning)
    assert verdict.text


def test_a_permanent_rejection_lasts() -> None:
    assert is_lasting(1)
    assert not is_lasting(2)


def test_pauses_double_up_to_the_longest_with_half_of_it_at_random() -> None:
    backoff = Backoff(first=5.0, longest=60.0)
    assert [backoff.pause(failures, 1.0) for failures in (1, 2, 3, 4, 5, 5000)] == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    assert backoff.pause(2, 0.0) == 5.0


def test_the_gate_lets_one_try_after_a_failure_and_all_after_its_success() -> None:
    gate = TargetGate(Backoff(first=4.0, longest=60.0))
    assert gate.is_open
    gate.enter()
    assert gate.wait(0.0) == 0.0
    assert gate.refused("away", is_lasting=False, now=0.0, chance=1.0) == 4.0
    assert (gate.is_open, gate.is_alarmed, gate.reason) == (False, False, "away")
    assert gate.wait(1.0) == 3.0
    assert gate.refused("another that was under way", is_lasting=False, now=1.0, chance=1.0) == 3.0
    assert gate.reason == "away"
    assert gate.wait(4.0) == 0.0
    gate.enter()
    assert gate.wait(4.0) == 1.0, "one tries alone"
    gate.leave()
    assert gate.wait(4.0) == 0.0
    gate.enter()
    assert gate.refused("still away", is_lasting=False, now=5.0, chance=1.0) == 8.0
    gate.enter()
    assert gate.accepted()
    assert (gate.is_open, gate.reason, gate.wait(6.0)) == (True, "", 0.0)
    assert not gate.accepted()


def test_what_lasts_rests_longest_and_raises_the_alarm() -> None:
    gate = TargetGate(Backoff(first=4.0, longest=60.0))
    assert gate.refused("wrong title", is_lasting=True, now=0.0, chance=0.0) == 60.0
    assert gate.wait(1.0) == 59.0
    gate.hurry()
    assert gate.wait(1.0) == 0.0
    assert gate.refused("wrong title", is_lasting=True, now=1.0, chance=0.0) == 60.0
    assert gate.is_alarmed
    assert gate.accepted()
    assert not gate.is_alarmed


def test_a_lease_is_free_when_nobody_has_it_or_who_had_it_is_gone() -> None:
    ours = Lease(instance="b1", epoch=2)
    assert judge_lease(None, ours, 0.0).is_free
    assert not judge_lease(None, ours, 0.0).is_taken_over
    theirs = judge_lease(Lease(instance="b2", epoch=1), ours, 10.0)
    assert (theirs.is_free, theirs.wait) == (False, LEASE_TIME - 10.0)
    assert judge_lease(Lease(instance="b2", epoch=1), ours, 29.9).wait == 1.0
    for held, age in ((Lease(instance="b2", epoch=1), LEASE_TIME), (Lease(instance="b1", epoch=1), 0.0)):
        claim = judge_lease(held, ours, age)
        assert (claim.is_free, claim.is_taken_over) == (True, True)


def tried(not_before: float) -> Attempt:
    return Attempt(tries=1, last="", status=None, at=0.0, not_before=not_before)


def test_what_is_due_of_an_association() -> None:
    attempts = {2: tried(50.0), 3: tried(200.0), 4: tried(300.0), 9: tried(10.0)}
    assert plan({1, 2, 3, 4, 5}, {5}, attempts, 100.0) == Plan(due=(1, 2), next_due=200.0)
    assert plan({7, 2}, set(), attempts, 100.0) == Plan(due=(7, 2), next_due=None), "what failed comes last"
    assert plan({5}, {5}, {}, 0.0) == Plan(due=(), next_due=None)


def test_when_an_object_is_given_up() -> None:
    record = QueuedObject(
        number=1,
        parties=Parties(calling="", called="", peer=""),
        sop_class="",
        sop_instance="",
        transfer_syntax="",
        priority=0,
        length=0,
        chunks=1,
        chunk_size=1,
        accepted=1000.0,
    )
    assert Limits().over(record, 1000, 1e9) is None
    limits = Limits(tries=3, age=60.0)
    assert limits.over(record, 2, 1059.0) is None
    assert limits.over(record, 3, 1059.0) == "tries"
    assert limits.over(record, 0, 1060.0) == "age"
    assert limits.over(record, 0, 1060.0, begun=1030.0) is None
    assert limits.over(record, 0, 1090.0, begun=1030.0) == "age"


def test_the_streams_as_they_must_be_are_not_found_wrong() -> None:
    chunks, records = planned_streams(FLOW, max_bytes=1 << 30, replicas=3)
    assert (chunks.name, records.name) == ("DIMSE_B_A_CHUNKS", "DIMSE_B_A_RECORDS")
    assert records.config["max_bytes"] == 1 << 27
    assert planned_streams(FLOW, max_bytes=1000, replicas=1)[1].config["max_bytes"] == 64 * 1024 * 1024
    for stream in (chunks, records):
        found = {**stream.config, "max_bytes": 5, "num_replicas": 1, "max_msg_size": -1, "max_msgs": -1}
        del found["max_age"]
        assert wrong_settings(stream, found, largest_message=1000) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"retention": "interest"}, "retention is interest and must be limits"),
        ({"storage": "memory"}, "storage is memory and must be file"),
        ({"discard": None}, "discard is not set and must be new"),
        ({"max_age": 5}, "max_age is 5 and must be 0"),
        ({"max_msgs_per_subject": -1}, "max_msgs_per_subject is -1 and must be 1"),
        ({"allow_direct": False}, "allow_direct is false and must be true"),
        ({"subjects": []}, "it does not store DIMSE.B.A.queue.chunk.>"),
        ({"sealed": True}, "sealed is set and must not be"),
        ({"max_msg_size": 999}, "max_msg_size is 999 and must be 1000 at least"),
        ({"max_msgs": 10}, "max_msgs is 10 and must not be set"),
    ],
)
def test_wrong_settings_are_named(change: dict[str, object], sentence: str) -> None:
    chunks, _ = planned_streams(FLOW, max_bytes=1 << 30, replicas=1)
    assert wrong_settings(chunks, {**chunks.config, **change}, largest_message=1000) == [sentence]


def test_the_consumer_of_the_work_list() -> None:
    consumer = planned_consumer(FLOW)
    assert consumer["filter_subject"] == "DIMSE.B.A.queue.work.>"
    assert (consumer["ack_policy"], consumer["max_deliver"]) == ("explicit", -1)


def key(number: int, began: int = 0) -> AssociationKey:
    return AssociationKey("CT1", f"{began * 1000:012x}{number:020x}")


def test_a_census_finds_what_nobody_will_fetch() -> None:
    told, untold, all_dead, gone, young = key(1), key(2), key(3), key(4), key(5, began=9000)
    census = Census()
    census.add(
        FLOW,
        [
            FLOW.of_object(Kind.RECORD, told, 1),
            FLOW.of_association(Kind.WORK, told),
            FLOW.of_object(Kind.RECORD, untold, 1),
            FLOW.of_association(Kind.LEASE, untold),
            FLOW.of_object(Kind.RECORD, all_dead, 1),
            FLOW.of_object(Kind.DEAD, all_dead, 1),
            FLOW.of_object(Kind.DEAD, gone, 8),
            FLOW.of_association(Kind.ASSOCIATION, gone),
            FLOW.of_association(Kind.LEASE, young),
            FLOW.of_object(Kind.ATTEMPT, gone, 1),
            FLOW.of_association(Kind.END, gone),
            "something.else",
        ],
    )
    assert census.without_work() == [untold]
    assert census.left_over(ORPHAN_AGE) == [gone]
    assert set(census.left_over(9000 + ORPHAN_AGE)) == {gone, young}
    assert list(census.without_record()) == [(Kind.DEAD, gone, 8), (Kind.ATTEMPT, gone, 1)]
    assert 2 * UPLOAD_GAP < ORPHAN_AGE


def test_the_last_chunk_of_each_object() -> None:
    names = [FLOW.chunk(key(1), 1, 0), FLOW.chunk(key(1), 1, 2), FLOW.chunk(key(1), 1, 1), FLOW.chunk(key(2), 3, 0)]
    found: dict[tuple[AssociationKey, int], int] = {}
    note_chunks(found, FLOW, [*names, "something.else", FLOW.of_object(Kind.RECORD, key(1), 1)])
    assert found == {(key(1), 1): 2, (key(2), 3): 0}
