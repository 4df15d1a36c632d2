"""Why an association ended, as a word for metrics, at both sides."""

from collections.abc import Callable

import pytest

from dimse_proxy.dimse.services import echo_request
from dimse_proxy.proxy.hooks import EndCause
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.tunnel.events import TunnelCode
from dimse_proxy.upper_layer.codec import encode_abort, encode_release_request, encode_release_response
from tests.playbook.conftest import AcceptorStage, RequestorStage, acceptor_stage, requestor_stage


def release(stage: AcceptorStage) -> None:
    stage.relay.end_point_received(encode_release_request(), 3.0)
    stage.relay.session_received(encode_release_response(), 3.5)
    stage.relay.end_point_lost("closed", 4.0)


CASES: dict[EndCause, Callable[[AcceptorStage], None]] = {
    EndCause.RELEASED: release,
    EndCause.END_POINT_ABORTED: lambda stage: stage.relay.end_point_received(encode_abort(source=0, reason=0), 3.0),
    EndCause.END_POINT_LOST: lambda stage: stage.relay.end_point_lost("reset", 3.0),
    EndCause.PROTOCOL_ERROR: lambda stage: stage.relay.end_point_received(b"\x09\0\0\0\0\0", 3.0),
    EndCause.OTHER_SIDE: lambda stage: stage.relay.session_aborted({"abort": [2, 0], "text": "reset there"}, 3.0),
    EndCause.OTHER_PROXY: lambda stage: stage.relay.session_received(b"\x09\0\0\0\0\0", 3.0),
    EndCause.TUNNEL: lambda stage: stage.relay.session_failed(TunnelCode.PEER_LOST, "silent", 3.0),
    EndCause.IDLE: lambda stage: stage.relay.handle_timer(100.0),
    EndCause.SHUTTING_DOWN: lambda stage: stage.relay.shut_down(3.0),
    EndCause.OPERATOR: lambda stage: stage.relay.abort(3.0),
    EndCause.FAULT: lambda stage: stage.relay.broken(3.0),
}


@pytest.mark.parametrize("cause", CASES, ids=str)
def test_at_the_acceptor(cause: EndCause) -> None:
    stage = acceptor_stage(settings=RelaySettings(idle_timeout=60.0))
    stage.establish()
    CASES[cause](stage)
    stage.relay.end_point_lost("closed", 200.0)
    assert [ending.cause for ending in stage.audience.endings] == [cause]


def test_what_was_under_way_is_told_and_forgotten(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    assert acceptor.relay.record.in_progress() == ()
    acceptor.relay.end_point_received(echo_request(1, 9, 0), 3.0)
    (request,) = acceptor.relay.record.in_progress()
    assert (request.service, request.message_id, request.begun) == ("C-ECHO", 9, 3.0)
    acceptor.relay.end_point_lost("reset", 5.0)
    assert acceptor.audience.endings[0].unanswered == (request,)
    assert acceptor.relay.record.in_progress() == ()


def test_no_answer_to_a_release() -> None:
    stage = acceptor_stage(settings=RelaySettings(release_timeout=5.0))
    stage.establish()
    stage.relay.end_point_received(encode_release_request(), 3.0)
    stage.relay.handle_timer(9.0)
    stage.relay.end_point_lost("closed", 10.0)
    assert [ending.cause for ending in stage.audience.endings] == [EndCause.RELEASE_TIMEOUT]


def test_at_the_requestor(requestor: RequestorStage) -> None:
    requestor.establish()
    requestor.relay.abort(3.0)
    requestor.relay.end_point_lost("closed", 4.0)
    assert [ending.cause for ending in requestor.audience.endings] == [EndCause.OPERATOR]
    assert requestor.session.aborted is not None


def test_a_fault_is_told_once_even_if_the_observer_is_what_failed(acceptor: AcceptorStage) -> None:
    acceptor.establish()

    def fail(*_details: object) -> None:
        raise RuntimeError

    acceptor.audience.association_ended = fail  # type: ignore[assignment, method-assign]
    acceptor.relay.broken(3.0)
    acceptor.relay.broken(3.0)
    assert acceptor.relay.is_over


def test_given_up_before_the_answer() -> None:
    stage = requestor_stage()
    stage.ask()
    stage.relay.session_aborted({"refused": "no-answer", "text": "too late"}, 2.0)
    stage.relay.end_point_lost("closed", 3.0)
    assert [ending.cause for ending in stage.audience.endings] == [EndCause.OTHER_SIDE]
