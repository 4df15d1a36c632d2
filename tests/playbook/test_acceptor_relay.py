"""Scripts for the acceptor side: a local association asks, the other side answers."""

import dataclasses
from ipaddress import ip_network

import pytest

from dimse_proxy.dimse.services import echo_request
from dimse_proxy.proxy.admission import Applicant
from dimse_proxy.proxy.hooks import Side
from dimse_proxy.proxy.routes import LocalAe, MoveAlias
from dimse_proxy.proxy.timers import FLUSH_BOUND, RelaySettings
from dimse_proxy.upper_layer.codec import (
    encode_abort,
    encode_associate_reject,
    encode_p_data_tf,
    encode_release_request,
    encode_release_response,
)
from tests.playbook.conftest import (
    CT,
    MOVE,
    POLICY,
    VERIFICATION,
    AcceptorStage,
    accept,
    acceptor_stage,
    alias,
    policy,
    request,
)

P_DATA = b"".join(encode_p_data_tf(context_id=3, data=b"x" * 100, is_command=False, maximum_length=0))


def rejection(result: int, source: int, reason: int) -> bytes:
    return encode_associate_reject(result=result, source=source, reason=reason)


def test_the_request_goes_through_as_it_came_and_is_not_answered_before_the_target_has(acceptor: AcceptorStage) -> None:
    raw = bytearray(request())
    raw[74 - 32] = 0x55  # a reserved byte
    acceptor.ask(bytes(raw))
    assert acceptor.session.taken() == raw
    assert acceptor.session.info == {"called": "INGESTION", "calling": "MODALITY", "peer": "10.0.0.7:40000"}
    assert acceptor.end_point.taken() == b""
    answer = accept(results={3: 0, 1: 3})
    acceptor.relay.session_received(answer, 2.0)
    assert acceptor.end_point.taken() == answer


def test_what_an_observer_wants_to_be_carried_goes_with_the_open_and_replaces_nothing() -> None:
    stage = acceptor_stage()
    stage.relay.record.carried.update({"traceparent": "00-1-2-01", "called": "ANOTHER"})
    stage.ask()
    assert stage.session.info["traceparent"] == "00-1-2-01"
    assert stage.session.info["called"] == "INGESTION"


def test_bytes_pass_both_ways_and_are_credited_as_they_leave(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    credited = acceptor.session.credited
    acceptor.relay.end_point_received(P_DATA, 3.0)
    assert acceptor.session.taken() == P_DATA
    acceptor.end_point.unsent = 60
    acceptor.relay.session_received(P_DATA, 3.0)
    assert acceptor.end_point.taken() == P_DATA
    assert acceptor.session.credited == credited + len(P_DATA) - 60
    acceptor.end_point.unsent = 0
    acceptor.relay.end_point_drained(4.0)
    assert acceptor.session.credited == credited + len(P_DATA)


def test_reading_stops_without_credit_and_goes_on_with_it(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.session.writable = False
    acceptor.relay.end_point_received(P_DATA, 3.0)
    acceptor.relay.end_point_received(P_DATA, 3.0)
    assert acceptor.end_point.calls.count("pause") == 1
    acceptor.relay.session_writable(4.0)
    acceptor.relay.session_writable(4.0)
    assert acceptor.end_point.calls.count("resume") == 1


def test_a_release_is_relayed_and_the_session_ended(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.end_point_received(encode_release_request(), 3.0)
    assert acceptor.session.taken() == encode_release_request()
    acceptor.relay.session_received(encode_release_response(), 4.0)
    assert acceptor.end_point.taken() == encode_release_response()
    assert acceptor.session.ended
    assert acceptor.audience.endings[0].is_released
    acceptor.relay.end_point_eof(4.1)
    assert acceptor.end_point.calls[-1] == "close"
    assert acceptor.admission.active == 0


def test_responses_still_pass_behind_a_release_request(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.end_point_received(encode_release_request(), 3.0)
    acceptor.relay.end_point_eof(3.1)
    acceptor.relay.session_received(P_DATA + encode_release_response(), 4.0)
    assert acceptor.end_point.taken() == P_DATA + encode_release_response()
    assert acceptor.end_point.calls[-1] == "close"
    assert acceptor.audience.endings[0].is_released


def test_a_release_asked_for_by_the_target_is_relayed(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.session_received(encode_release_request(), 3.0)
    assert acceptor.end_point.taken() == encode_release_request()
    acceptor.relay.end_point_received(encode_release_response(), 4.0)
    assert acceptor.session.taken() == encode_release_response()
    assert acceptor.session.ended
    assert acceptor.audience.endings[0].is_released


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (request(called="ELSEWHERE"), (1, 1, 7)),
        (request(calling="STRANGER"), (1, 1, 3)),
    ],
)
def test_titles_that_are_not_allowed_are_rejected(raw: bytes, answer: tuple[int, int, int]) -> None:
    stage = acceptor_stage(dataclasses.replace(POLICY, allowed_calling=("MODALITY",)))
    stage.ask(raw)
    assert stage.end_point.taken() == rejection(*answer)
    assert "open" not in stage.end_point.calls
    assert not stage.audience.endings
    assert (
        stage.audience.refusals[0].result,
        stage.audience.refusals[0].source,
        stage.audience.refusals[0].reason,
    ) == answer


def test_a_host_that_is_not_allowed_is_rejected() -> None:
    stage = acceptor_stage(dataclasses.replace(POLICY, allowed_hosts=(ip_network("192.168.0.0/16"),)))
    stage.ask()
    assert stage.end_point.taken() == rejection(1, 1, 3)


def test_the_limit_counts_running_associations_only() -> None:
    stage = acceptor_stage(limit=1)
    stage.admission.enter(Applicant(side=Side.ACCEPTOR, calling="OTHER"))
    stage.ask()
    assert stage.end_point.taken() == rejection(2, 3, 2)
    assert stage.admission.active == 1


def test_shutting_down_rejects(acceptor: AcceptorStage) -> None:
    acceptor.admission.is_shutting_down = True
    acceptor.ask()
    assert acceptor.end_point.taken() == rejection(2, 3, 1)


@pytest.mark.parametrize(
    ("code", "answer"), [("no-peer", (2, 3, 1)), ("open-timeout", (2, 3, 1)), ("refused-limit", (2, 3, 2))]
)
def test_a_session_that_fails_before_the_answer_becomes_a_rejection(
    acceptor: AcceptorStage, code: str, answer: tuple[int, int, int]
) -> None:
    acceptor.ask()
    acceptor.relay.session_failed(code, "nobody is there", 2.0)
    assert acceptor.end_point.taken() == rejection(*answer)
    assert acceptor.admission.active == 0


@pytest.mark.parametrize(
    ("code", "answer"),
    [("target-unreachable", (2, 3, 1)), ("limit", (2, 3, 2)), ("not-allowed", (1, 1, 1)), ("what-is-this", (2, 3, 1))],
)
def test_a_refusal_of_the_other_side_becomes_a_rejection(
    acceptor: AcceptorStage, code: str, answer: tuple[int, int, int]
) -> None:
    acceptor.ask()
    acceptor.relay.session_aborted({"refused": code, "text": "connection refused"}, 2.0)
    assert acceptor.end_point.taken() == rejection(*answer)
    assert "connection refused" in acceptor.audience.refusals[0].cause


def test_the_targets_rejection_comes_through_as_it_is(acceptor: AcceptorStage) -> None:
    acceptor.ask()
    raw = bytearray(rejection(1, 2, 2))
    raw[6] = 0x77
    acceptor.relay.session_received(bytes(raw), 2.0)
    acceptor.relay.session_ended(2.0)
    assert acceptor.end_point.taken() == raw
    assert acceptor.end_point.calls == ["open"]
    acceptor.relay.end_point_received(b"\x04" * 100_000, 2.5)
    assert acceptor.end_point.calls == ["open"]
    acceptor.relay.handle_timer(40.0)
    assert acceptor.end_point.calls[-1] == "close"
    assert not acceptor.audience.endings


def test_an_abort_of_the_target_before_its_answer_is_an_abort(acceptor: AcceptorStage) -> None:
    acceptor.ask()
    acceptor.relay.session_aborted({"abort": [2, 4]}, 2.0)
    assert acceptor.end_point.taken() == encode_abort(source=2, reason=4)


@pytest.mark.parametrize("abort", [(0, 0), (2, 1), (2, 6), (1, 255)])
def test_aborts_pass_both_ways_unchanged(acceptor: AcceptorStage, abort: tuple[int, int]) -> None:
    acceptor.establish()
    acceptor.relay.end_point_received(encode_abort(source=abort[0], reason=abort[1]), 3.0)
    assert acceptor.session.aborted is not None
    assert acceptor.session.aborted["abort"] == list(abort)
    assert acceptor.end_point.calls[-1] == "close"
    other = acceptor_stage()
    other.establish()
    other.relay.session_aborted({"abort": list(abort)}, 3.0)
    assert other.end_point.taken() == encode_abort(source=abort[0], reason=abort[1])


def test_a_response_before_an_abort_in_one_segment_passes(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.end_point_received(P_DATA + encode_abort(source=0, reason=0), 3.0)
    assert acceptor.session.taken() == P_DATA
    assert acceptor.session.aborted is not None


def test_an_abort_inside_a_pdu_becomes_a_reset(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.session_received(P_DATA[:50], 3.0)
    acceptor.relay.session_aborted({"abort": [2, 0]}, 3.0)
    assert acceptor.end_point.taken() == P_DATA[:50]
    assert "reset" in acceptor.end_point.calls


def test_a_broken_peer_inside_a_pdu_of_the_target_is_reset(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.session_received(P_DATA[:50], 3.0)
    acceptor.relay.end_point_received(b"\xff" * 20, 3.0)
    assert acceptor.end_point.taken() == P_DATA[:50]
    assert "reset" in acceptor.end_point.calls
    assert acceptor.session.aborted is not None


def test_a_lost_connection_aborts_the_other_end(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.end_point_lost("reset by peer", 3.0)
    assert acceptor.session.aborted is not None
    assert acceptor.session.aborted["abort"] == [2, 0]
    assert "reset by peer" in acceptor.audience.endings[0].outcome


def test_giving_up_while_the_target_is_asked_cancels(acceptor: AcceptorStage) -> None:
    acceptor.ask()
    acceptor.relay.end_point_received(encode_abort(source=0, reason=0), 2.0)
    assert acceptor.session.aborted is not None
    assert acceptor.admission.active == 0


def test_garbage_before_a_request_is_a_stranger(acceptor: AcceptorStage) -> None:
    acceptor.relay.end_point_received(b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", 1.0)
    assert acceptor.end_point.taken()[:1] == b"\x07"
    assert "HTTP" in acceptor.audience.strangers[0]
    assert not acceptor.audience.endings


def test_a_connection_without_a_request_is_closed_by_artim() -> None:
    stage = acceptor_stage(settings=RelaySettings(artim=5.0))
    assert stage.relay.next_timer() == 5.0
    stage.relay.handle_timer(5.0)
    assert stage.end_point.calls == ["close"]
    assert not stage.audience.endings
    assert not stage.audience.strangers


def test_no_answer_in_time_is_a_rejection_and_a_cancel() -> None:
    stage = acceptor_stage(settings=RelaySettings(open_timeout=5.0))
    stage.ask()
    stage.relay.handle_timer(6.0)
    assert stage.end_point.taken() == rejection(2, 3, 1)
    assert stage.session.aborted is not None
    assert stage.session.aborted["refused"] == "no-answer"


def test_a_stalled_end_point_is_reset_soon_after_an_abort(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.end_point.unsent = 1000
    acceptor.relay.session_aborted({"abort": [0, 0]}, 3.0)
    acceptor.relay.handle_timer(3.0 + FLUSH_BOUND)
    assert "reset" in acceptor.end_point.calls


def test_an_idle_association_is_kept_unless_a_limit_is_set(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    assert acceptor.relay.next_timer() is None
    stage = acceptor_stage(settings=RelaySettings(idle_timeout=10.0))
    stage.establish()
    stage.relay.end_point_received(P_DATA, 8.0)
    stage.relay.handle_timer(12.0)
    assert stage.end_point.taken() == b""
    stage.relay.handle_timer(18.0)
    assert stage.end_point.taken() == encode_abort(source=2, reason=0)
    assert stage.session.aborted is not None


def test_a_release_that_nobody_confirms_is_ended_where_a_limit_is_set() -> None:
    stage = acceptor_stage(settings=RelaySettings(release_timeout=5.0))
    stage.establish()
    stage.relay.end_point_received(encode_release_request(), 3.0)
    stage.relay.handle_timer(8.0)
    assert stage.end_point.taken() == encode_abort(source=2, reason=0)


def test_messages_are_seen_and_counted(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.end_point_received(echo_request(1, 7, 16384), 3.0)
    assert acceptor.audience.messages[0].command.message_id == 7
    assert acceptor.audience.messages[0].from_requestor
    acceptor.relay.end_point_lost("gone", 4.0)
    assert acceptor.audience.endings[0].services[0].service == "C-ECHO"


def test_bytes_leave_before_anybody_is_told(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.end_point_received(echo_request(1, 7, 16384), 3.0)
    assert acceptor.session.taken()
    assert not acceptor.heard.messages
    acceptor.relay.end_point_lost("gone", 4.0)
    assert acceptor.session.aborted is not None
    assert not acceptor.heard.endings
    acceptor.relay.take_note()
    assert (len(acceptor.heard.messages), len(acceptor.heard.endings)) == (1, 1)
    acceptor.relay.take_note()
    assert (len(acceptor.heard.messages), len(acceptor.heard.endings)) == (1, 1)


def test_a_fault_before_the_end_was_told_does_not_hide_it(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.end_point_lost("gone", 4.0)
    acceptor.relay.broken(4.0)
    acceptor.relay.take_note()
    assert len(acceptor.heard.endings) == 1


def test_nonsense_of_the_other_proxy_aborts_both_ends(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.session_received(accept(), 3.0)
    assert acceptor.end_point.taken() == encode_abort(source=2, reason=0)
    assert acceptor.session.aborted is not None
    other = acceptor_stage()
    other.ask()
    other.relay.session_received(P_DATA, 3.0)
    assert other.end_point.taken()[:1] == b"\x07"


def test_a_session_that_ends_too_early_aborts(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.session_ended(3.0)
    assert acceptor.end_point.taken() == encode_abort(source=2, reason=0)


def keep_verification(syntax: str, transfer: tuple[str, ...]) -> tuple[str, ...] | None:
    return transfer if syntax == VERIFICATION else None


def keep_nothing(syntax: str, transfer: tuple[str, ...]) -> tuple[str, ...] | None:
    return None


def test_a_filtered_context_is_not_asked_for_and_keeps_its_place_in_the_answer() -> None:
    stage = acceptor_stage(dataclasses.replace(POLICY, decide_context=keep_verification))
    stage.ask(request(syntaxes=(CT, VERIFICATION)))
    assert stage.session.taken() != request(syntaxes=(CT, VERIFICATION))
    stage.relay.session_received(accept(results={3: 0}), 2.0)
    assert stage.end_point.taken() == accept(results={1: 3, 3: 0})


def test_nothing_left_is_answered_locally_and_released_locally() -> None:
    stage = acceptor_stage(dataclasses.replace(POLICY, decide_context=keep_nothing))
    stage.ask()
    assert stage.end_point.taken()[:1] == b"\x02"
    assert "open" not in stage.end_point.calls
    stage.relay.end_point_received(encode_release_request(), 2.0)
    assert stage.end_point.taken() == encode_release_response()
    assert stage.audience.endings[0].is_released


def test_nothing_left_at_the_other_side_is_answered_by_this_one(acceptor: AcceptorStage) -> None:
    acceptor.ask()
    acceptor.relay.session_aborted({"refused": "no-context", "results": [[1, 4], [3, 3]]}, 2.0)
    assert acceptor.end_point.taken()[:1] == b"\x02"
    results = {result.context_id: result.result for result in acceptor.audience.accepted[0].presentation_contexts}
    assert results == {1: 4, 3: 3}
    acceptor.relay.end_point_received(encode_release_request(), 3.0)
    assert acceptor.end_point.taken() == encode_release_response()


def test_a_called_alias_asks_for_its_asker() -> None:
    stage = acceptor_stage(policy(move_aliases=[alias("ASKER", "ALIAS")]))
    stage.ask(request(called="ALIAS"))
    assert stage.session.info["called"] == "ASKER"
    assert stage.session.info["alias"] == "ALIAS"


def test_a_fault_of_ours_ends_both_ends(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    acceptor.relay.broken(3.0)
    assert acceptor.relay.is_over
    assert "reset" in acceptor.end_point.calls
    assert acceptor.session.aborted is not None
    assert acceptor.admission.active == 0


def test_the_called_title_chooses_the_channel_and_what_is_asked_for_there() -> None:
    there = LocalAe(called="INGESTION", channel="S2", ask_for="PACS")
    stage = acceptor_stage(policy(channels=("S1", "S2"), local_aes=[there]))
    stage.ask()
    assert stage.end_point.channel == "S2"
    assert stage.session.info["called"] == "PACS"
    assert stage.session.taken() == request(), "the title is written by the other side"


def test_a_title_that_leads_nowhere_is_refused_here() -> None:
    stage = acceptor_stage(policy(local_aes=[LocalAe(called="OTHER", channel="B")]))
    stage.ask()
    assert stage.end_point.calls == []
    assert stage.end_point.taken() == rejection(1, 1, 7)


def test_aliases_of_another_channel_are_left_alone() -> None:
    elsewhere = MoveAlias(asker="ASKER", alias="ALIAS", channel="S2")
    stage = acceptor_stage(policy(channels=("B", "S2"), move_aliases=[elsewhere]))
    stage.ask(request(syntaxes=[MOVE]))
    stage.relay.session_received(accept(results={1: 0}), 2.0)
    assert stage.relay._passage is not None
    assert stage.relay._passage._commands is None
