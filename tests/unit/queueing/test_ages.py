"""Which objects have waited longest, from lists of subjects."""

from dimse_proxy.queueing.ages import Ages
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind, new_association

FLOW = Flow(root="R", sender="A", receiver="B")
FIRST, SECOND, THIRD = (
    AssociationKey(asker, new_association(milliseconds, bytes(10)))
    for asker, milliseconds in (("ZZ", 1000), ("AA", 2000), ("MM", 3000))
)


def record(key: AssociationKey, number: int) -> str:
    return FLOW.of_object(Kind.RECORD, key, number)


def test_by_age_and_not_by_who_asked() -> None:
    ages = Ages(FLOW)
    ages.add_records([record(SECOND, 1), record(THIRD, 2), record(FIRST, 10)])
    ages.add_records([record(FIRST, 9), record(FIRST, 12)])
    assert ages.oldest(2) == [(FIRST, 9), (SECOND, 1)]
    assert len(ages.oldest(8)) == 3


def test_dead_letters_do_not_wait() -> None:
    ages = Ages(FLOW)
    ages.add_dead([FLOW.of_object(Kind.DEAD, FIRST, 1), FLOW.of_object(Kind.DEAD, SECOND, 1)])
    ages.add_records([record(FIRST, 1), record(FIRST, 2), record(SECOND, 1)])
    assert ages.oldest(8) == [(FIRST, 2)]


def test_what_is_no_record_is_passed_by() -> None:
    ages = Ages(FLOW)
    ages.add_records(["R.B.A.queue.record.X", f"{record(FIRST, 1)}.2", record(FIRST, 1).replace(".1", ".x")])
    assert ages.oldest(8) == []
