import json

import pytest

from dimse_proxy.proxy.refusals import Aborted, RefusalCode, Refused, answer_of, parse_detail, tunnel_cause
from dimse_proxy.tunnel.events import TunnelCode


@pytest.mark.parametrize(
    "said",
    [
        Refused(code="limit", text="full"),
        Refused(code="no-context", text="nothing left", results=((1, 3), (3, 4))),
        Aborted(source=0, reason=0, text="the user did"),
    ],
)
def test_what_is_said_is_what_is_read(said: Refused | Aborted) -> None:
    assert parse_detail(json.loads(json.dumps(said.detail()))) == said


def test_those_of_a_policy_are_permanent() -> None:
    assert answer_of(RefusalCode.CALLING_NOT_ALLOWED) == (1, 1, 3)
    assert answer_of(RefusalCode.CALLED_NOT_ALLOWED) == (1, 1, 7)
    assert answer_of(RefusalCode.NO_ROUTE) == (1, 1, 7)


@pytest.mark.parametrize(
    "code", [code for code in RefusalCode if code not in ("limit", "no-route") and not code.endswith("not-allowed")]
)
def test_most_refusals_are_transient(code: RefusalCode) -> None:
    assert answer_of(code) == (2, 3, 1)


def test_a_limit_and_a_prohibition_have_their_own_answers() -> None:
    assert answer_of("limit") == (2, 3, 2)
    assert answer_of("not-allowed") == (1, 1, 1)


@pytest.mark.parametrize("code", [*TunnelCode, "a-code-of-tomorrow"])
def test_every_code_of_the_tunnel_has_a_sentence(code: str) -> None:
    sentence = tunnel_cause(code, "B", "what happened")
    assert "B" in sentence or "NATS" in sentence


def test_results_that_cannot_be_read_are_left_out() -> None:
    detail = {"refused": "no-context", "text": 7, "results": [[1, 3], [1], "x", [1, 999], [-1, 0], None]}
    assert parse_detail(detail) == Refused(code="no-context", text="7", results=((1, 3),))
