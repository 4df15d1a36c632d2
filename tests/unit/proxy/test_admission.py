"""The limits of one process, counted with a clock of the test's own."""

import pytest

from dimse_proxy.proxy.admission import Admission, Applicant
from dimse_proxy.proxy.hooks import Side
from dimse_proxy.proxy.refusals import answer_of


def applicant(calling: str = "CT1", host: str = "10.0.0.1", side: Side = Side.ACCEPTOR) -> Applicant:
    return Applicant(side=side, calling=calling, host=host)


def code_of(admission: Admission, who: Applicant, now: float = 0.0) -> str | None:
    refused = admission.refusal(who, now)
    return None if refused is None else str(refused.code)


def test_admission_counts_and_says_so() -> None:
    seen: list[int] = []
    admission = Admission(2)
    admission.changed = lambda: seen.append(admission.active)
    admission.enter(applicant())
    assert code_of(admission, applicant()) is None
    admission.enter(applicant())
    assert code_of(admission, applicant()) == "limit"
    admission.leave(applicant())
    assert code_of(admission, applicant()) is None
    assert seen == [1, 2, 1]
    admission.is_shutting_down = True
    assert code_of(admission, applicant()) == "shutting-down"


def test_no_limit() -> None:
    admission = Admission()
    for _ in range(5000):
        admission.enter(applicant())
    assert code_of(admission, applicant()) is None


def test_each_calling_ae_title_has_its_own_count() -> None:
    admission = Admission(per_calling_ae=1)
    admission.enter(applicant("CT1"))
    refused = admission.refusal(applicant("CT1"), 0.0)
    assert refused is not None
    assert "DIMSE_MAX_ASSOCIATIONS_PER_CALLING_AE" in refused.text
    assert answer_of(refused.code) == (2, 3, 2)
    assert code_of(admission, applicant("CT2")) is None
    admission.leave(applicant("CT1"))
    assert code_of(admission, applicant("CT1")) is None


def test_an_association_that_crosses_both_ways_is_two() -> None:
    admission = Admission(per_calling_ae=1)
    admission.enter(applicant("CT1", side=Side.ACCEPTOR))
    assert code_of(admission, applicant("CT1", side=Side.REQUESTOR)) is None


def test_each_host_has_its_own_count() -> None:
    admission = Admission(per_host=2)
    for calling in ("CT1", "CT2"):
        admission.enter(applicant(calling))
    refused = admission.refusal(applicant("CT3"), 0.0)
    assert refused is not None
    assert "DIMSE_MAX_ASSOCIATIONS_PER_HOST" in refused.text
    assert code_of(admission, applicant("CT3", host="10.0.0.2")) is None
    admission.leave(applicant("CT1"))
    assert code_of(admission, applicant("CT3")) is None


def test_hosts_of_the_other_side_are_not_counted_here() -> None:
    admission = Admission(per_host=1)
    who = applicant(side=Side.REQUESTOR, host="")
    admission.enter(who)
    assert code_of(admission, who) is None


def test_nothing_is_kept_of_who_is_gone() -> None:
    admission = Admission(per_host=5, per_calling_ae=5)
    for number in range(1000):
        who = applicant(f"AE{number}", host=f"10.0.{number // 250}.{number % 250}")
        admission.enter(who)
        admission.leave(who)
    assert not admission._calling
    assert not admission._hosts


def test_the_rate_allows_a_second_s_worth_at_once_and_then_its_pace() -> None:
    admission = Admission(rate=10)
    taken = [code_of(admission, applicant(), 5.0) for _ in range(12)]
    assert taken == [None] * 10 + ["rate"] * 2
    assert code_of(admission, applicant(), 5.05) == "rate"
    assert code_of(admission, applicant(), 5.11) is None
    assert code_of(admission, applicant(), 5.12) == "rate"
    assert [code_of(admission, applicant(), 100.0) for _ in range(11)] == [None] * 10 + ["rate"]


def test_the_rate_of_one_side_leaves_the_other_alone() -> None:
    admission = Admission(rate=1)
    assert code_of(admission, applicant()) is None
    assert code_of(admission, applicant()) == "rate"
    assert code_of(admission, applicant(side=Side.REQUESTOR)) is None


def test_less_than_one_a_second_still_takes_the_first() -> None:
    admission = Admission(rate=0.5)
    assert code_of(admission, applicant(), 0.0) is None
    assert code_of(admission, applicant(), 1.0) == "rate"
    assert code_of(admission, applicant(), 2.0) is None


def test_what_another_limit_refuses_does_not_count_towards_the_rate() -> None:
    admission = Admission(1, rate=1)
    admission.enter(applicant())
    for _ in range(5):
        assert code_of(admission, applicant()) == "limit"
    admission.leave(applicant())
    assert code_of(admission, applicant()) is None


@pytest.mark.parametrize("code", ["rate", "shutting-down"])
def test_what_passes_by_itself_is_temporary_congestion(code: str) -> None:
    assert answer_of(code) == (2, 3, 1)
