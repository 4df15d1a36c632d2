"""What a target accepted when it was asked, and what is answered from that."""

from dimse_proxy.queueing import knowledge
from dimse_proxy.queueing.knowledge import Knowledge
from tests.unit.queueing.dialogue import CT, EXPLICIT, IMPLICIT, MR, VERIFICATION, proposed, result

JPEG = "1.2.840.10008.1.2.4.50"


def test_nothing_is_known_at_first_and_all_is_accepted() -> None:
    known = Knowledge()
    asked = [proposed(1, CT, JPEG, IMPLICIT), proposed(3, CT, JPEG), proposed(5, VERIFICATION, IMPLICIT)]
    answer = known.answer(asked)
    assert answer.unknown == tuple(asked[:2])
    assert answer.results == (result(1, 0), result(3, 0, JPEG), result(5, 0))
    assert known.asked_at is None


def test_the_answer_is_what_the_target_answered() -> None:
    known = Knowledge()
    asked = [proposed(1, CT, JPEG, EXPLICIT), proposed(3, MR, IMPLICIT), proposed(5, CT, JPEG), proposed(7, CT, "1.9")]
    known.learn(asked, [result(1, 0, EXPLICIT), result(3, 3), result(5, 4), result(9, 0)], 16384, 7.0)
    assert (known.maximum_length, known.asked_at) == (16384, 7.0)
    answer = known.answer(asked)
    assert answer.results == (result(1, 0, EXPLICIT), result(3, 3), result(5, 4, JPEG), result(7, 0, "1.9"))
    assert answer.unknown == (asked[3],), "the target said nothing of it"
    assert known.answer([proposed(1, MR, EXPLICIT)]).results == (result(1, 3, EXPLICIT),)
    assert known.answer([proposed(1, CT)]).results == (result(1, 4, ""),)


def test_a_target_may_change_its_mind() -> None:
    known = Knowledge()
    known.learn([proposed(1, CT, IMPLICIT)], [result(1, 0)], 0, 1.0)
    known.learn([proposed(1, CT, IMPLICIT)], [result(1, 3)], 0, 2.0)
    assert known.answer([proposed(1, CT, IMPLICIT)]).results == (result(1, 3),)
    known.learn([proposed(1, CT, IMPLICIT)], [result(1, 0)], 0, 3.0)
    assert known.answer([proposed(1, CT, IMPLICIT)]).results == (result(1, 0),)


def test_memory_is_bounded() -> None:
    known = Knowledge()
    known.learn([proposed(1, CT, IMPLICIT)], [result(1, 0)], 0, 1.0)
    for number in range(knowledge._MOST + 1):
        known.learn([proposed(1, f"1.2.{number}", IMPLICIT)], [result(1, 0)], 0, 1.0)
    assert known.answer([proposed(1, CT, IMPLICIT)]).unknown
