"""Scripts for requests that may not pass: swallowed, answered with 0124H, and the association goes on."""

import dataclasses

import pytest

from dimse_proxy.dimse.command_set import CommandField, CommandSet, Tag, encode_us
from dimse_proxy.dimse.services import echo_request
from dimse_proxy.proxy.passage import ANSWERS_UNHEARD, HEARD_BELOW
from dimse_proxy.proxy.policy import Operations
from dimse_proxy.upper_layer.codec import (
    encode_associate_request,
    encode_p_data_tf,
    encode_release_request,
    encode_release_response,
)
from dimse_proxy.upper_layer.pdu import MaximumLength, ProposedContext
from tests.playbook.conftest import (
    CT,
    IMPLICIT,
    POLICY,
    AcceptorStage,
    RequestorStage,
    accept,
    acceptor_stage,
    alias,
    policy,
    requestor_stage,
    title,
)
from tests.unit.dimse import messages
from tests.unit.dimse.messages import element, split_messages, split_pdus, store_request, us

CT_CONTEXT = 3
NO_STORE = Operations.of(("*", "!C-STORE"))
ECHO = echo_request(1, 1, 0)


def p_data(data: bytes, *, context_id: int = CT_CONTEXT, is_command: bool = True, maximum_length: int = 0) -> bytes:
    return b"".join(
        encode_p_data_tf(context_id=context_id, data=data, is_command=is_command, maximum_length=maximum_length)
    )


def store(message_id: int = 5, data_set: bytes = b"DATA" * 100) -> bytes:
    return p_data(store_request(message_id=message_id)) + p_data(data_set, is_command=False, maximum_length=64)


def answers(stream: bytes) -> list[tuple[int, str | None, int | None, int | None]]:
    """Context, message, ID that it answers and status of each message of a stream that holds commands only."""
    found = []
    for context_id, is_command, data in split_messages(stream):
        assert is_command
        command = CommandSet.decode(data)
        field = command.command_field
        name = None if field is None else field.message_name
        found.append((context_id, name, command.message_id_being_responded_to, command.status))
    return found


REFUSED = (CT_CONTEXT, "C-STORE-RSP", 5, 0x0124)


def without_store_out() -> AcceptorStage:
    stage = acceptor_stage(dataclasses.replace(POLICY, operations_out=NO_STORE))
    stage.establish()
    return stage


def without_store_in() -> RequestorStage:
    stage = requestor_stage(dataclasses.replace(POLICY, operations_in=NO_STORE))
    stage.establish()
    return stage


def test_a_request_from_this_network_is_answered_here_and_goes_nowhere() -> None:
    stage = without_store_out()
    stage.relay.end_point_received(store() + ECHO, 3.0)
    assert stage.session.taken() == ECHO
    assert answers(stage.end_point.taken()) == [REFUSED]
    assert stage.audience.operations == [("C-STORE", True)]


def test_a_request_from_the_other_side_is_answered_through_the_tunnel() -> None:
    stage = without_store_in()
    stage.relay.session_received(store() + ECHO, 3.0)
    assert stage.end_point.taken() == ECHO
    assert answers(stage.session.taken()) == [REFUSED]
    assert stage.audience.operations == [("C-STORE", False)]
    assert stage.session.credited >= len(store() + ECHO)


def test_a_sub_operation_of_the_target_is_a_request_from_this_network() -> None:
    stage = requestor_stage(dataclasses.replace(POLICY, operations_out=NO_STORE))
    stage.establish()
    stage.relay.end_point_received(store(), 3.0)
    assert stage.session.taken() == b""
    assert answers(stage.end_point.taken()) == [REFUSED]


def test_a_sub_operation_from_the_other_side_is_refused_at_the_side_that_asked() -> None:
    stage = acceptor_stage(dataclasses.replace(POLICY, operations_in=NO_STORE))
    stage.establish()
    stage.relay.session_received(store(), 3.0)
    assert stage.end_point.taken() == b""
    assert answers(stage.session.taken()) == [REFUSED]


def test_the_answer_waits_for_the_end_of_what_the_other_end_is_sending() -> None:
    stage = without_store_out()
    response = p_data(store_request(message_id=77))
    first, rest = p_data(b"A" * 60, is_command=False)[:-10], p_data(b"A" * 60, is_command=False)[-10:]
    stage.relay.session_received(response + first, 3.0)
    assert stage.end_point.taken() == response + first
    stage.relay.end_point_received(store(), 3.1)
    assert stage.end_point.taken() == b""
    stage.relay.session_received(rest + ECHO, 3.2)
    written = stage.end_point.taken()
    assert written.startswith(rest)
    assert written.endswith(ECHO)
    assert answers(written[len(rest) : -len(ECHO)]) == [REFUSED]


def test_the_answer_keeps_to_the_length_that_its_receiver_announced() -> None:
    stage = acceptor_stage(dataclasses.replace(POLICY, operations_out=NO_STORE))
    stage.ask(
        encode_associate_request(
            called_ae_title=title("INGESTION"),
            calling_ae_title=title("MODALITY"),
            presentation_contexts=[
                ProposedContext(context_id=CT_CONTEXT, abstract_syntax=CT, transfer_syntaxes=(IMPLICIT,))
            ],
            user_information=[MaximumLength(length=40)],
        )
    )
    stage.relay.session_received(accept(results={CT_CONTEXT: 0}), 2.0)
    stage.end_point.taken()
    stage.relay.end_point_received(store(), 3.0)
    written = stage.end_point.taken()
    assert answers(written) == [REFUSED]
    assert len(split_pdus(written)) > 1
    assert all(len(pdu) <= 6 + 40 for pdu in split_pdus(written))


def test_responses_and_cancels_always_pass() -> None:
    nothing = Operations.of(("C-ECHO",))
    stage = acceptor_stage(dataclasses.replace(POLICY, operations_out=nothing))
    stage.establish()
    cancel = messages.command_bytes((0x0100, us(0x0FFF)), (0x0120, us(3)), (0x0800, us(0x0101)))
    response = messages.command_bytes((0x0100, us(0x8001)), (0x0120, us(3)), (0x0800, us(0x0101)), (0x0900, us(0)))
    unknown = messages.command_bytes((0x0100, us(0x8999)), (0x0120, us(3)), (0x0800, us(0x0101)))
    stream = p_data(cancel) + p_data(response) + p_data(unknown)
    stage.relay.end_point_received(stream, 3.0)
    assert stage.session.taken() == stream
    assert stage.end_point.taken() == b""


def test_both_the_request_and_our_answer_are_counted() -> None:
    stage = without_store_out()
    stage.relay.end_point_received(store() + encode_release_request(), 3.0)
    assert stage.session.taken() == encode_release_request()
    stage.relay.session_received(encode_release_response(), 4.0)
    assert stage.end_point.taken().endswith(encode_release_response())
    stage.relay.session_ended(4.5)
    stage.relay.end_point_lost("closed", 5.0)
    (count,) = stage.audience.endings[0].services
    assert (count.service, count.requests_from_requestor) == ("C-STORE", 1)
    assert {kind.value: number for kind, number in count.responses.items()} == {"failure": 1}
    assert stage.relay.record.operations_refused == {"C-STORE": 1}


def test_an_answer_reaches_whoever_has_asked_for_the_release() -> None:
    stage = without_store_out()
    stage.relay.end_point_received(store() + encode_release_request(), 3.0)
    assert answers(stage.end_point.taken()) == [REFUSED]


def test_nothing_is_answered_behind_a_release_request_that_went_the_other_way() -> None:
    stage = requestor_stage(dataclasses.replace(POLICY, operations_out=NO_STORE))
    stage.establish()
    stage.relay.session_received(encode_release_request(), 3.0)
    stage.end_point.taken()
    stage.relay.end_point_received(store() + ECHO, 3.1)
    assert stage.session.taken() == ECHO
    assert stage.end_point.taken() == b""
    assert stage.audience.operations == [("C-STORE", True)]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(messages.command_bytes((0x0110, us(1)), (0x0800, us(0x0101))), id="no command field"),
        pytest.param(element(0x0100, bytes(4)) + element(0x0110, us(1)), id="command field of four bytes"),
        pytest.param(messages.command_bytes((0x0100, us(0x0333)), (0x0110, us(1))), id="unknown operation"),
        pytest.param(messages.command_bytes((0x0100, us(0x0001)), (0x0800, us(0x0101))), id="no message id"),
        pytest.param(b"\x08\0\0\0no command", id="no command set"),
    ],
)
@pytest.mark.parametrize("from_end_point", [True, False])
def test_what_cannot_be_judged_aborts_both_ends(command: bytes, from_end_point: bool) -> None:
    few = Operations.of(("C-ECHO",))
    stage = acceptor_stage(dataclasses.replace(POLICY, operations_out=few, operations_in=few))
    stage.establish()
    receive = stage.relay.end_point_received if from_end_point else stage.relay.session_received
    receive(ECHO + p_data(command) + ECHO, 3.0)
    assert stage.session.aborted is not None
    assert stage.session.aborted["abort"] == [2, 6]
    assert stage.end_point.taken().endswith(b"\x07\0\0\0\0\x04\0\0\x02\x06")
    passed = stage.session.taken() if from_end_point else b""
    assert p_data(command) not in passed


def test_an_unknown_operation_passes_a_list_that_only_excludes() -> None:
    stage = without_store_out()
    unknown = p_data(messages.command_bytes((0x0100, us(0x0333)), (0x0110, us(1)), (0x0800, us(0x0101))))
    stage.relay.end_point_received(unknown, 3.0)
    assert stage.session.taken() == unknown


@pytest.mark.parametrize("from_end_point", [True, False])
def test_half_a_command_before_a_release_aborts(from_end_point: bool) -> None:
    stage = acceptor_stage(dataclasses.replace(POLICY, operations_out=NO_STORE))
    stage.establish()
    half = encode_p_data_tf(context_id=3, data=store_request(), is_command=True, maximum_length=64)[0]
    receive = stage.relay.end_point_received if from_end_point else stage.relay.session_received
    receive(half + encode_release_request(), 3.0)
    assert stage.session.aborted is not None
    assert stage.session.taken() == b""


def test_answers_that_nobody_reads_do_not_fill_memory() -> None:
    stage = without_store_out()
    stage.end_point.unsent = HEARD_BELOW
    one = p_data(CommandSet.decode(store_request()).replace({Tag.COMMAND_DATA_SET_TYPE: encode_us(0x0101)}).encode())
    aborts = []
    for _ in range(ANSWERS_UNHEARD + 1):
        stage.relay.end_point_received(one, 3.0)
        aborts.append(stage.session.aborted)
    assert not any(aborts[:-1])
    assert aborts[-1] is not None
    assert aborts[-1]["abort"] == [2, 0]


def test_answers_that_are_read_may_be_many() -> None:
    stage = without_store_in()
    for _ in range(3 * ANSWERS_UNHEARD):
        stage.relay.session_received(store(data_set=b"xx"), 3.0)
    assert stage.session.aborted is None


def test_without_rules_there_is_no_stage(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    assert acceptor.relay._passage is not None
    assert acceptor.relay._passage._commands is None
    acceptor.relay.end_point_received(store(), 3.0)
    assert acceptor.session.taken() == store()


def test_aliases_and_operations_go_together() -> None:
    rules = dataclasses.replace(policy(move_aliases=[alias("ASKER", "ALIAS")]), operations_in=NO_STORE)
    stage = requestor_stage(rules)
    stage.establish()
    move = messages.move_request(b"ASKER ")
    stage.relay.session_received(store() + p_data(move, context_id=1), 3.0)
    ((_, _, command),) = split_messages(stage.end_point.taken())
    assert CommandSet.decode(command).move_destination == "ALIAS"
    assert CommandSet.decode(command).command_field is CommandField.C_MOVE_RQ
    assert answers(stage.session.taken()) == [REFUSED]


def test_a_connection_without_an_association_can_be_turned_away(acceptor: AcceptorStage) -> None:
    acceptor.relay.turned_away(3.0)
    assert acceptor.end_point.calls[0] == "reset"
    assert len(acceptor.audience.turned_away) == 1
    acceptor.relay.end_point_lost("reset", 3.0)
    assert acceptor.relay.is_over
    assert not acceptor.audience.endings


def test_a_rejected_connection_that_is_not_closed_can_be_turned_away() -> None:
    stage = acceptor_stage(dataclasses.replace(POLICY, allowed_calling=("NOBODY",)))
    stage.ask()
    assert stage.end_point.is_waiting
    stage.end_point.taken()
    stage.relay.turned_away(3.0)
    assert "reset" in stage.end_point.calls
    assert not stage.audience.turned_away
    assert stage.end_point.taken() == b""


def test_an_association_is_no_waiting_connection_until_it_is_over(acceptor: AcceptorStage) -> None:
    acceptor.establish()
    assert not acceptor.end_point.is_waiting
    acceptor.relay.session_aborted({"abort": [2, 0]}, 3.0)
    assert acceptor.end_point.is_waiting


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"allowed_calling_in": ("RESULTS",)}, "calling-not-allowed"),
        ({"allowed_called_in": ("OTHER",)}, "called-not-allowed"),
    ],
)
def test_what_the_other_side_may_not_ask_for_is_refused_through_the_tunnel(
    changes: dict[str, tuple[str, ...]], code: str
) -> None:
    stage = requestor_stage(dataclasses.replace(POLICY, **changes))  # type: ignore[arg-type]
    stage.ask()
    assert stage.session.aborted is not None
    assert stage.session.aborted["refused"] == code
    assert "connect" not in stage.end_point.calls
    assert stage.admission.active == 0
