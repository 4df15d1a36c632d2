"""Scripts for the requestor side: a request comes out of the tunnel and is made to the target."""

import dataclasses

import pytest

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.proxy.admission import Applicant
from dimse_proxy.proxy.hooks import Side
from dimse_proxy.proxy.routes import Way
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.transports.streams import Address
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
    TARGET,
    VERIFICATION,
    RequestorStage,
    accept,
    alias,
    policy,
    request,
    requestor_stage,
    title,
)

P_DATA = b"".join(encode_p_data_tf(context_id=3, data=b"x" * 100, is_command=False, maximum_length=0))


def test_the_request_is_made_under_the_configured_titles_and_answered_under_its_own(requestor: RequestorStage) -> None:
    raw = bytearray(request())
    raw[74 - 32] = 0x55  # a reserved byte
    requestor.ask(bytes(raw))
    assert requestor.end_point.calls == ["connect"]
    assert requestor.end_point.taken() == b""
    requestor.relay.connected(1.5)
    raw[10:26], raw[26:42] = title("ARCHIVE"), title("INGESTION")
    assert requestor.end_point.taken() == raw
    requestor.relay.end_point_received(accept(called="ARCHIVE", calling="INGESTION"), 2.0)
    assert requestor.session.taken() == accept(called="INGESTION", calling="MODALITY")
    assert requestor.relay.record.target == "ARCHIVE@pacs:104"


def test_titles_that_need_no_change_keep_their_own_bytes() -> None:
    stage = requestor_stage(policy(targets=[dataclasses.replace(TARGET, calling="original")]))
    raw = bytearray(request(called="ARCHIVE"))
    raw[10:26] = b"ARCHIVE\0\0\0\0\0\0\0\0\0"
    raw[26:42] = b"  MODALITY      "
    stage.ask(bytes(raw))
    stage.relay.connected(1.5)
    assert stage.end_point.taken() == raw
    answer = accept(called="WHO", calling="CARES")
    stage.relay.end_point_received(answer, 2.0)
    assert stage.session.taken() == answer


def test_a_fixed_calling_title_is_used() -> None:
    stage = requestor_stage(policy(targets=[dataclasses.replace(TARGET, calling="CLOUD")]))
    stage.ask()
    stage.relay.connected(1.5)
    assert stage.end_point.taken()[26:42] == title("CLOUD")


def test_an_asker_behind_an_alias_is_called_by_its_own_title() -> None:
    stage = requestor_stage(info={"called": "ASKER", "calling": "PACS", "alias": "ALIAS"})
    stage.ask(request(called="ALIAS"))
    stage.relay.connected(1.5)
    assert stage.end_point.taken()[10:26] == title("ASKER")


def test_bytes_and_release_pass_both_ways(requestor: RequestorStage) -> None:
    requestor.establish()
    requestor.relay.session_received(P_DATA, 3.0)
    assert requestor.end_point.taken() == P_DATA
    requestor.relay.end_point_received(P_DATA, 3.0)
    assert requestor.session.taken() == P_DATA
    requestor.relay.session_received(encode_release_request(), 4.0)
    requestor.relay.end_point_received(P_DATA + encode_release_response(), 5.0)
    assert requestor.session.taken() == P_DATA + encode_release_response()
    assert requestor.session.ended
    assert requestor.end_point.calls[-1] == "close"
    assert requestor.audience.endings[0].is_released


def test_a_release_asked_for_by_the_target_is_relayed(requestor: RequestorStage) -> None:
    requestor.establish()
    requestor.relay.end_point_received(encode_release_request(), 3.0)
    assert requestor.session.taken() == encode_release_request()
    requestor.relay.session_received(encode_release_response(), 4.0)
    assert requestor.end_point.taken() == encode_release_response()
    assert requestor.audience.endings[0].is_released


def test_a_release_collision_across_the_tunnel_ends_well(requestor: RequestorStage) -> None:
    requestor.establish()
    requestor.relay.end_point_received(encode_release_request(), 3.0)  # the target's, on its way to the other side
    requestor.relay.session_received(encode_release_request(), 3.1)  # the other side's, which crossed it
    assert requestor.end_point.taken() == encode_release_request()
    requestor.relay.session_received(encode_release_response(), 3.2)
    assert requestor.end_point.taken() == encode_release_response()
    requestor.relay.end_point_received(encode_release_response(), 3.3)
    assert requestor.session.taken() == encode_release_request() + encode_release_response()
    assert requestor.audience.endings[0].is_released


def test_what_no_target_is_for_is_refused_before_the_request_is_read() -> None:
    """The channel of the session counts: what another one may ask for is not there for this one."""
    for target in (
        dataclasses.replace(TARGET, asked_for=("OTHER",)),
        dataclasses.replace(TARGET, channels=("C",)),
    ):
        stage = requestor_stage(policy(targets=[target], channels=("B", "C")))
        stage.relay.opened(0.5)
        assert stage.session.aborted is not None
        assert stage.session.aborted["refused"] == "no-route"
        assert (stage.audience.refusals[0].result, stage.audience.refusals[0].reason) == (1, 7)
        assert stage.end_point.calls == []
        assert stage.admission.active == 0
        assert stage.relay.is_over


def test_the_asked_for_title_chooses_the_target() -> None:
    archive = dataclasses.replace(TARGET, asked_for=("INGESTION",), hosts=(Address("named", 104),), ae_title=None)
    stage = requestor_stage(policy(targets=[TARGET, archive]), info={"called": " INGESTION "})
    stage.ask()
    assert stage.end_point.way == Way(target=archive, called="INGESTION")
    assert (stage.relay.record.target, stage.relay.record.target_name) == ("INGESTION@named:104", "INGESTION@named:104")
    stage.relay.connected(1.5)
    assert stage.end_point.taken()[10:42] == title("INGESTION") * 2


def test_the_calling_title_is_the_alias_of_the_asker() -> None:
    by_alias = dataclasses.replace(TARGET, calling="alias")
    stage = requestor_stage(policy(targets=[by_alias], move_aliases=[alias("MODALITY", "MODALITY_REMOTE")]))
    stage.ask()
    stage.relay.connected(1.5)
    assert stage.end_point.taken()[26:42] == title("MODALITY_REMOTE")
    stage.relay.end_point_received(accept(called="ARCHIVE", calling="MODALITY_REMOTE"), 2.0)
    assert stage.session.taken() == accept(called="INGESTION", calling="MODALITY")


def test_what_is_no_title_is_refused_where_it_would_be_called() -> None:
    stage = requestor_stage(policy(targets=[dataclasses.replace(TARGET, ae_title=None)]), info={"called": "X" * 17})
    stage.ask()
    assert stage.session.aborted is not None
    assert stage.session.aborted["refused"] == "no-route"
    assert stage.end_point.calls == []


def test_a_target_has_a_limit_of_its_own() -> None:
    limited = dataclasses.replace(TARGET, max_associations=1)
    stage = requestor_stage(policy(targets=[limited]))
    stage.admission.enter(Applicant(side=Side.REQUESTOR, calling="OTHER", target=limited.name))
    stage.relay.opened(0.5)
    assert stage.session.aborted is not None
    assert stage.session.aborted["refused"] == "limit"
    assert "1 associations with ARCHIVE@pacs:104" in str(stage.session.aborted["text"])


def test_no_target_is_refused() -> None:
    stage = requestor_stage(policy(targets=()))
    stage.relay.opened(0.5)
    assert stage.session.aborted is not None
    assert stage.session.aborted["refused"] == "no-target"
    assert stage.relay.is_over


def test_the_limit_is_refused_through_the_tunnel() -> None:
    stage = requestor_stage(limit=1)
    stage.admission.enter(Applicant(side=Side.REQUESTOR, calling="OTHER"))
    stage.relay.opened(0.5)
    assert stage.session.aborted is not None
    assert stage.session.aborted["refused"] == "limit"
    assert stage.admission.active == 1


def test_a_target_that_cannot_be_reached_is_said(requestor: RequestorStage) -> None:
    requestor.ask()
    requestor.relay.connect_failed("connection refused by pacs:104", 2.0)
    assert requestor.session.aborted is not None
    assert requestor.session.aborted["refused"] == "target-unreachable"
    assert requestor.relay.is_over
    assert requestor.admission.active == 0
    assert "connection refused" in requestor.audience.refusals[0].cause
    assert not requestor.audience.endings


def test_a_target_that_does_not_answer_is_given_up_and_aborted() -> None:
    stage = requestor_stage(settings=RelaySettings(accept_timeout=5.0))
    stage.ask()
    stage.relay.connected(1.0)
    stage.end_point.taken()
    stage.relay.handle_timer(6.0)
    assert stage.session.aborted is not None
    assert stage.session.aborted["refused"] == "target-timeout"
    assert stage.end_point.taken() == encode_abort(source=2, reason=0)
    stage.relay.end_point_received(accept(), 7.0)
    assert stage.end_point.taken() == b""
    assert len(stage.audience.refusals) == 1


def test_a_target_that_closes_after_the_request_is_said(requestor: RequestorStage) -> None:
    requestor.ask()
    requestor.relay.connected(1.5)
    requestor.relay.end_point_eof(2.0)
    assert requestor.session.aborted is not None
    assert requestor.session.aborted["refused"] == "target-closed"
    assert len(requestor.audience.refusals) == 1
    assert not requestor.audience.endings


def test_the_targets_rejection_passes_as_it_is(requestor: RequestorStage) -> None:
    requestor.ask()
    requestor.relay.connected(1.5)
    raw = encode_associate_reject(result=1, source=1, reason=7)
    requestor.relay.end_point_received(raw, 2.0)
    assert requestor.session.taken() == raw
    assert requestor.session.ended
    assert requestor.audience.refusals[0].code == "target-rejected"


def test_a_targets_abort_instead_of_an_answer_is_an_abort(requestor: RequestorStage) -> None:
    requestor.ask()
    requestor.relay.connected(1.5)
    requestor.relay.end_point_received(encode_abort(source=2, reason=1), 2.0)
    assert requestor.session.aborted is not None
    assert requestor.session.aborted["abort"] == [2, 1]


def test_a_requestor_that_gives_up_leaves_no_orphan(requestor: RequestorStage) -> None:
    requestor.ask()
    requestor.relay.session_aborted({"abort": [0, 0]}, 1.2)
    assert requestor.end_point.calls == ["connect", "close"]
    assert requestor.relay.is_over
    other = requestor_stage()
    other.ask()
    other.relay.connected(1.5)
    other.end_point.taken()
    other.relay.session_aborted({"abort": [0, 0]}, 2.0)
    assert other.end_point.taken() == encode_abort(source=0, reason=0)
    other.relay.end_point_received(accept(), 3.0)  # too late: ignored until the target closes
    other.relay.end_point_eof(3.1)
    assert other.end_point.calls[-1] == "close"
    assert len(other.audience.endings) == 1


def test_the_sessions_failure_aborts_the_target(requestor: RequestorStage) -> None:
    requestor.establish()
    requestor.relay.session_failed("peer-lost", "not heard for 60 s", 3.0)
    assert requestor.end_point.taken() == encode_abort(source=2, reason=0)
    assert "not heard for 60 s" in requestor.audience.endings[0].outcome


def keep_verification(syntax: str, transfer: tuple[str, ...]) -> tuple[str, ...] | None:
    return transfer if syntax == VERIFICATION else None


def test_this_sides_filter_is_put_back_into_the_answer() -> None:
    stage = requestor_stage(dataclasses.replace(POLICY, decide_context_in=keep_verification))
    stage.ask(request(syntaxes=(CT, VERIFICATION)))
    stage.relay.connected(1.5)
    stage.end_point.taken()
    stage.relay.end_point_received(accept(called="ARCHIVE", calling="INGESTION", results={3: 0}), 2.0)
    assert stage.session.taken() == accept(results={1: 3, 3: 0})


def test_nothing_left_is_told_to_the_other_side() -> None:
    stage = requestor_stage(dataclasses.replace(POLICY, decide_context_in=keep_verification))
    stage.ask(request(syntaxes=(CT, MOVE)))
    assert stage.session.aborted is not None
    assert stage.session.aborted["refused"] == "no-context"
    assert stage.session.aborted["results"] == [[1, 3], [3, 3]]
    assert "connect" not in stage.end_point.calls
    assert stage.relay.is_over


def test_a_broken_target_aborts_the_other_end(requestor: RequestorStage) -> None:
    requestor.establish()
    requestor.relay.end_point_received(b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x63\x00xx", 3.0)
    assert requestor.end_point.taken()[:1] == b"\x07"
    assert requestor.session.aborted is not None
    assert requestor.session.aborted["abort"] == [2, 0]


def test_a_malformed_request_out_of_the_tunnel_never_reaches_the_target(requestor: RequestorStage) -> None:
    requestor.relay.opened(0.5)
    requestor.relay.session_received(P_DATA, 1.0)
    assert requestor.session.aborted is not None
    assert "connect" not in requestor.end_point.calls


def move_request(destination: bytes) -> bytes:
    elements = {0x0100: b"\x21\x00", 0x0110: b"\x01\x00", 0x0600: destination, 0x0700: b"\0\0", 0x0800: b"\1\0"}
    command = CommandSet.decode(
        b"".join(
            b"\0\0" + tag.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
            for tag, value in elements.items()
        )
    )
    return command.encode()


def test_a_move_destination_becomes_its_alias() -> None:
    stage = requestor_stage(policy(move_aliases=[alias("ASKER", "LONGERALIAS")]))
    stage.ask(request(syntaxes=(VERIFICATION, MOVE)))
    stage.relay.connected(1.5)
    stage.end_point.taken()
    stage.relay.end_point_received(accept(called="ARCHIVE", calling="INGESTION"), 2.0)
    sent = encode_p_data_tf(context_id=3, data=move_request(b"ASKER "), is_command=True, maximum_length=64)
    for part in sent:
        stage.relay.session_received(part, 3.0)
    written = stage.end_point.taken()
    assert b"LONGERALIAS " in written
    assert b"ASKER" not in written
    (identifier,) = encode_p_data_tf(context_id=3, data=b"identifier", is_command=False, maximum_length=64)
    stage.relay.session_received(identifier, 3.1)
    assert stage.end_point.taken() == identifier
    assert stage.audience.messages[0].command.move_destination == "ASKER"


def test_a_release_behind_half_a_command_loses_nothing() -> None:
    stage = requestor_stage(policy(move_aliases=[alias("ASKER", "ALIAS")]))
    stage.ask(request(syntaxes=(VERIFICATION, MOVE)))
    stage.relay.connected(1.5)
    stage.end_point.taken()
    stage.relay.end_point_received(accept(called="ARCHIVE", calling="INGESTION"), 2.0)
    half = encode_p_data_tf(context_id=3, data=move_request(b"ASKER "), is_command=True, maximum_length=64)[0]
    stage.relay.session_received(half, 3.0)
    assert stage.end_point.taken() == b""
    stage.relay.session_received(encode_release_request(), 4.0)
    assert stage.end_point.taken() == half + encode_release_request()


@pytest.mark.parametrize("detail", [{}, {"abort": "x"}, {"abort": [1]}, {"abort": [300, 0]}, {"refused": 7}])
def test_an_unreadable_abort_is_one_of_the_provider(requestor: RequestorStage, detail: dict[str, object]) -> None:
    requestor.establish()
    requestor.relay.session_aborted(detail, 3.0)
    assert requestor.end_point.taken() == encode_abort(source=2, reason=0)
