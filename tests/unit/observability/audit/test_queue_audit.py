"""The audit trail of what is queued: who became answerable when, and what nobody delivers any more."""

from dataclasses import replace

import pytest

from dimse_proxy.observability.audit.codes import Outcome
from dimse_proxy.observability.audit.dead_letters import ASSOCIATIONS_LIMIT, DeadLetterOffice, Original
from dimse_proxy.observability.audit.queue_audit import QueueAudit
from dimse_proxy.observability.audit.transfers import FAILURES_LIMIT, QUIET, STUDIES_LIMIT
from dimse_proxy.proxy.hooks import Side
from dimse_proxy.queueing.subjects import AssociationKey
from tests.unit.dimse import messages
from tests.unit.observability.audit.test_audit_observer import HEAD, START, Stage
from tests.unit.observability.test_queue_watch import LETTER, RECORD
from tests.unit.observability.watching import REQUEST, TunnelDouble, ending, record

SESSION = "abcdefabcdef"
KEY = AssociationKey("CT1", "0" * 20 + SESSION)
ORIGINAL = Original(session=SESSION, channel="A", calling="CT1", called="ARCHIVE", host="10.0.0.7")


@pytest.mark.parametrize(
    ("side", "note"),
    [
        (Side.ACCEPTOR, "taken into the queue for channel B, association abcdefabcdef"),
        (Side.REQUESTOR, "delivered from the queue of channel B, association abcdefabcdef"),
    ],
)
def test_a_transfer_says_that_it_went_through_the_queue(side: Side, note: str) -> None:
    stage = Stage()
    audit = QueueAudit(stage.observer)
    asked, other = record(side, session=SESSION), record(side, session="another")
    for each in (other, asked):
        stage.observer.association_requested(each, REQUEST)
        stage.see(each, messages.store_request(message_id=1), HEAD)
        stage.answer(each)
    for _ in range(2):
        if side is Side.ACCEPTOR:
            audit.object_queued("B", KEY, RECORD)
        else:
            audit.object_delivered("B", KEY, RECORD, "0000H", False)
    stage.taken()
    stage.observer.association_ended(asked, ending())
    stage.observer.association_ended(other, ending())
    assert [(each.outcome, each.description) for each in stage.taken()] == [
        (Outcome.SUCCESS, note),
        (Outcome.SUCCESS, None),
    ]


def test_what_is_answered_when_the_association_is_over_has_no_note() -> None:
    stage = Stage()
    QueueAudit(stage.observer).object_queued("B", KEY, RECORD)
    asked = record(session=SESSION)
    stage.observer.association_requested(asked, REQUEST)
    stage.see(asked, messages.store_request(message_id=1), HEAD)
    stage.answer(asked)
    stage.taken()
    stage.observer.association_ended(asked, ending())
    assert [each.description for each in stage.taken()] == [None]


def test_dead_letters_of_an_association_are_one_message() -> None:
    stage = Stage()
    audit = QueueAudit(stage.observer)
    parties = replace(RECORD.parties, peer="10.0.0.7:4000")
    for number in (1, 2):
        audit.object_dead("A", KEY, replace(RECORD, number=number, parties=parties, study="1.2.3"), LETTER)
    audit.object_dead("A", KEY, replace(RECORD, number=3, parties=parties), replace(LETTER, text="it is too old"))
    stage.observer.look(TunnelDouble())
    assert stage.taken() == []
    stage.now += QUIET
    stage.observer.look(TunnelDouble())
    [told] = stage.taken()
    assert told.outcome is Outcome.SERIOUS_FAILURE
    assert told.description == (
        "status C000H, it is too old; given up, kept as dead letters in the queue of channel A, association " + SESSION
    )
    assert [(each.object_id, dict(each.sop_classes)) for each in told.objects[:2]] == [
        ("1.2.3", {RECORD.sop_class: 2}),
        ("<unknown>", {RECORD.sop_class: 1}),
    ]
    assert [each.user_id for each in told.participants][:2] == ["CT1", "ARCHIVE"]
    assert told.participants[0].host == "10.0.0.7"


def test_the_last_ones_are_told_when_the_process_stops() -> None:
    stage = Stage()
    QueueAudit(stage.observer).object_dead("A", KEY, RECORD, LETTER)
    stage.observer.stop(None)
    assert stage.words() == ["dicom-instances-transferred", "application-stop"]


def test_without_contents_nothing_is_said_of_objects() -> None:
    stage = Stage(with_contents=False)
    audit = QueueAudit(stage.observer)
    audit.object_queued("B", KEY, RECORD)
    audit.object_dead("A", KEY, RECORD, LETTER)
    stage.observer.stop(None)
    assert stage.words() == ["application-stop"]


def test_what_is_open_is_bounded() -> None:
    office = DeadLetterOffice()
    for number in range(ASSOCIATIONS_LIMIT + 1):
        office.add(replace(ORIGINAL, session=str(number)), "1", "2", "why", now=0.0, when=START)
    assert [each.original.session for each in office.over(1.0)] == ["0"]
    assert len(office.rest()) == ASSOCIATIONS_LIMIT
    for number in range(STUDIES_LIMIT):
        office.add(ORIGINAL, f"1.{number}", "2", f"why {number}", now=0.0, when=START)
    [letters] = office.over(0.0)
    assert len(letters.studies) == STUDIES_LIMIT
    assert letters.reasons.count("why") == FAILURES_LIMIT
    assert office.rest() == []
