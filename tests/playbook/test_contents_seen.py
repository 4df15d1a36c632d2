"""Scripts for an observer that wants to know whose data sets pass: told only then, and nothing is changed by it."""

import dataclasses

from dimse_proxy.dimse.contents import Identifier
from dimse_proxy.dimse.data_set_head import StudyHead
from dimse_proxy.dimse.services import echo_request
from dimse_proxy.proxy.policy import Operations
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.upper_layer.codec import encode_p_data_tf
from tests.playbook.conftest import POLICY, AcceptorStage, acceptor_stage, requestor_stage
from tests.unit.dimse import messages
from tests.unit.dimse.data_sets import FORMS, IMPLICIT

FORM = FORMS[IMPLICIT]
IMAGE = FORM.patient() + FORM.study() + bytes(100)
HEAD = StudyHead(patient_id="4711", patient_name="Doe^Jane", study_instance_uid="1.2.3.4")
READS = RelaySettings(reads_contents=True)


def message(command: bytes, data_set: bytes) -> bytes:
    return b"".join(
        [
            *encode_p_data_tf(context_id=3, data=command, is_command=True, maximum_length=0),
            *encode_p_data_tf(context_id=3, data=data_set, is_command=False, maximum_length=40),
        ]
    )


STORE = message(messages.store_request(), IMAGE)
MOVE = message(messages.move_request(), b"IDENTIFIER")


def established(settings: RelaySettings, operations: Operations | None = None) -> AcceptorStage:
    policy = POLICY if operations is None else dataclasses.replace(POLICY, operations_out=operations)
    stage = acceptor_stage(policy, settings)
    stage.establish()
    return stage


def test_a_store_and_a_query() -> None:
    stage = established(READS)
    stage.relay.end_point_received(STORE + MOVE + echo_request(1, 1, 0), 3.0)
    assert stage.session.taken() == STORE + MOVE + echo_request(1, 1, 0)
    assert [(seen.from_requestor, seen.content) for seen in stage.audience.contents] == [
        (True, HEAD),
        (True, Identifier(data=b"IDENTIFIER", length=10)),
    ]
    assert {seen.transfer_syntax for seen in stage.audience.contents} == {IMPLICIT}


def test_what_comes_through_the_tunnel() -> None:
    stage = established(READS)
    stage.relay.session_received(STORE[:90], 3.0)
    stage.relay.session_received(STORE[90:], 3.0)
    assert [(seen.from_requestor, seen.content) for seen in stage.audience.contents] == [(False, HEAD)]
    other = requestor_stage(settings=READS)
    other.establish()
    other.relay.session_received(STORE, 3.0)
    other.relay.end_point_received(STORE, 3.0)
    assert [seen.from_requestor for seen in other.audience.contents] == [True, False]


def test_nothing_is_looked_at_by_default() -> None:
    stage = established(RelaySettings())
    stage.relay.end_point_received(STORE + MOVE, 3.0)
    assert stage.session.taken() == STORE + MOVE
    assert stage.audience.contents == []


def test_what_may_not_pass_is_not_told() -> None:
    stage = established(READS, Operations.of(("*", "!C-STORE")))
    stage.relay.end_point_received(STORE + MOVE, 3.0)
    assert stage.session.taken() == MOVE
    assert [type(seen.content) for seen in stage.audience.contents] == [Identifier]
