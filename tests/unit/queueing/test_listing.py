"""Which objects there are and what state each is in, from subjects alone; and which of them are meant."""

from dataclasses import replace

import pytest

from dimse_proxy.queueing.listing import Entry, Ledger, State, Wanted
from dimse_proxy.queueing.records import Parties, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind, title_token

FLOW = Flow(root="DIMSE", sender="A", receiver="B")


def key(number: int, *, asker: str = "CT1", began: int = 1000) -> AssociationKey:
    return AssociationKey(title_token(asker), f"{began * 1000:012x}{number:020x}")


OLD, YOUNG, LEASED = key(1), key(2, asker="MR 7", began=5000), key(3, began=3000)


def ledger() -> Ledger:
    made = Ledger(FLOW)

    def of(kind: Kind, *places: tuple[AssociationKey, int]) -> list[str]:
        return [FLOW.of_object(kind, key, number) for key, number in places]

    made.add(Kind.LEASE, [FLOW.of_association(Kind.LEASE, LEASED), FLOW.asked_again])
    made.add(Kind.DEAD, of(Kind.DEAD, (OLD, 2), (OLD, 9), (LEASED, 1)))
    made.add(Kind.ATTEMPT, of(Kind.ATTEMPT, (OLD, 2), (OLD, 3), (LEASED, 2)))
    others = ["DIMSE.B.A.queue.record.no", f"{FLOW.of_object(Kind.RECORD, OLD, 1)}x"]
    records = of(Kind.RECORD, (YOUNG, 1), (OLD, 1), (OLD, 2), (OLD, 3), (LEASED, 1), (LEASED, 2), (LEASED, 3))
    made.add(Kind.RECORD, [*records, *others])
    return made


def test_the_state_of_each_object() -> None:
    found = [(one.key, one.number, str(one.state), one.is_tried) for one in ledger().objects(Wanted())]
    assert found == [
        (OLD, 1, "waiting", False),
        (OLD, 2, "dead", True),
        (OLD, 3, "resting", True),
        (LEASED, 1, "dead", False),
        (LEASED, 2, "delivering", True),
        (LEASED, 3, "delivering", False),
        (YOUNG, 1, "waiting", False),
    ]


def test_associations_in_numbers() -> None:
    found = {summary.key: summary.counts for summary in ledger().summaries(Wanted())}
    assert found == {
        OLD: {State.WAITING: 1, State.RESTING: 1, State.DEAD: 1},
        LEASED: {State.DELIVERING: 2, State.DEAD: 1},
        YOUNG: {State.WAITING: 1},
    }
    (dead, leased) = ledger().summaries(Wanted(states=frozenset({State.DEAD})))
    assert (dead.key, dead.objects, leased.counts) == (OLD, 1, {State.DEAD: 1})
    (one,) = ledger().summaries(Wanted(association=OLD.association, number=3))
    assert one.counts == {State.RESTING: 1}


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        (Wanted(askers=frozenset({title_token("MR 7")})), {YOUNG}),
        (Wanted(association=LEASED.association[-12:]), {LEASED}),
        (Wanted(association=LEASED.association[:12]), {LEASED}),
        (Wanted(association="ffff"), set()),
        (Wanted(began_before=3000.0), {OLD, LEASED}),
        (Wanted(began_after=3000.0), {YOUNG, LEASED}),
        (Wanted(states=frozenset({State.RESTING})), {OLD}),
        (Wanted(states=frozenset({State.UNREADABLE})), {OLD, YOUNG, LEASED}),
        (Wanted(number=3), {OLD, LEASED}),
    ],
)
def test_which_are_meant_by_their_subjects(wanted: Wanted, keys: set[AssociationKey]) -> None:
    assert {one.key for one in ledger().objects(wanted)} == keys


def entry(state: State = State.WAITING, called: str = "PACS", study: str = "1.2") -> Entry:
    parties = Parties(calling="CT1", called="PACS", peer="")
    record = QueuedObject(
        number=1,
        parties=parties,
        sop_class="1",
        sop_instance="2",
        transfer_syntax="3",
        priority=0,
        length=10,
        chunks=1,
        chunk_size=10,
        accepted=0.0,
        study=study,
    )
    return Entry(key=OLD, number=1, state=state, record=record, called=called)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(study="1.2"), True),
        (Wanted(study="1.3"), False),
        (Wanted(called="PACS"), True),
        (Wanted(called="OTHER"), False),
        (Wanted(states=frozenset({State.WAITING})), True),
        (Wanted(states=frozenset({State.UNREADABLE})), False),
    ],
)
def test_which_are_meant_by_their_records(wanted: Wanted, fits: bool) -> None:
    assert wanted.fits_entry(entry()) is fits


def test_what_cannot_be_read_is_of_no_study() -> None:
    unreadable = replace(entry(State.UNREADABLE), record=None)
    assert not Wanted(study="1.2").fits_entry(unreadable)
    assert Wanted(states=frozenset({State.UNREADABLE})).fits_entry(unreadable)


def test_when_records_have_to_be_read() -> None:
    assert Wanted(called="A").needs_records
    assert Wanted(study="1").needs_records
    assert Wanted(states=frozenset({State.UNREADABLE})).needs_records
    assert not Wanted(states=frozenset({State.DEAD}), askers=frozenset({"A"}), began_after=1.0).needs_records
