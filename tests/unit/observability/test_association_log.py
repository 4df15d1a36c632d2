import logging

import pytest
import structlog

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.tracking import MessageTracker, RequestInProgress
from dimse_proxy.observability.association_log import AssociationLog, describe_message
from dimse_proxy.proxy.hooks import AssociationRecord, EndCause, Ending, Refusal, Side, observers
from dimse_proxy.upper_layer.codec import decode_pdu
from dimse_proxy.upper_layer.events import CommandFragment, DataSetEnd
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest, ContextResult
from tests.playbook.conftest import CT, VERIFICATION, accept, request

CT_IMAGE = b"1.2.840.10008.5.1.4.1.1.2\0"


def command(**values: bytes) -> CommandSet:
    encoded = b""
    for name, value in values.items():
        tag = int(name.removeprefix("t"), 16)
        encoded += b"\0\0" + tag.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
    return CommandSet.decode(encoded)


STORE_RQ = command(t0002=CT_IMAGE, t0100=b"\1\0", t0110=b"\7\0", t0800=b"\0\0", t1000=b"1.2.3.PATIENT.MARKER")
STORE_RSP = command(t0002=CT_IMAGE, t0100=b"\1\x80", t0120=b"\7\0", t0800=b"\1\1", t0900=b"\0\xa7")


def record(side: Side = Side.ACCEPTOR) -> AssociationRecord:
    return AssociationRecord(
        side=side, started=0.0, peer="10.0.0.7:4000", calling="CT1", called="INGESTION", session="abc"
    )


@pytest.fixture
def lines() -> list[dict[str, object]]:
    """What is logged, as dictionaries."""
    written: list[dict[str, object]] = []

    def remember(_logger: object, method: str, event: structlog.typing.EventDict) -> str:
        written.append({**event, "level": method})
        raise structlog.DropEvent

    structlog.configure(
        processors=[remember],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
    )
    return written


def test_messages_in_words() -> None:
    assert describe_message(STORE_RQ) == "C-STORE-RQ 7 CT Image Storage"
    assert describe_message(STORE_RSP).startswith("C-STORE-RSP 7 A700H")
    assert "MARKER" not in describe_message(STORE_RQ)


def test_one_line_for_an_association_that_ended(lines: list[dict[str, object]]) -> None:
    tracker = MessageTracker({1: CT})
    tracker.observe(CommandFragment(context_id=1, data=STORE_RQ.encode(), is_last=True), from_requestor=True, now=1.0)
    tracker.observe(DataSetEnd(context_id=1, length=524288), from_requestor=True, now=1.0)
    tracker.observe(CommandFragment(context_id=1, data=STORE_RSP.encode(), is_last=True), from_requestor=False, now=1.1)
    ending = Ending(
        cause=EndCause.RELEASED, outcome="released", is_released=True, services=tracker.summary(), duration=1.23456
    )
    observers([AssociationLog()]).association_ended(record(), ending)
    (line,) = lines
    assert line["event"] == "association ended"
    assert line["level"] == "info"
    assert line["services"] == "C-STORE 1 (failure 1), 524288 bytes"
    assert line["duration"] == 1.235
    assert line["outcome"] == "released"


def test_an_association_that_was_not_released_is_a_warning(lines: list[dict[str, object]]) -> None:
    ending = Ending(
        cause=EndCause.END_POINT_LOST, outcome="connection lost", is_released=False, services=(), duration=1.0
    )
    observers([AssociationLog()]).association_ended(record(), ending)
    assert lines[0]["level"] == "warning"
    assert lines[0]["services"] == "none"
    assert lines[0]["unanswered"] is None


def test_what_was_under_way_is_named(lines: list[dict[str, object]]) -> None:
    started = record().started
    requests = tuple(
        RequestInProgress(
            from_requestor=True,
            context_id=1,
            service="C-STORE",
            message_id=number,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            begun=started + 1,
            since=started + 1.5 if number % 2 else started + 1,
            is_whole=number % 2 == 1,
            data_set_length=512 if number % 2 else 0,
        )
        for number in range(1, 9)
    )
    ending = Ending(
        cause=EndCause.TUNNEL,
        outcome="session failed",
        is_released=False,
        services=(),
        duration=11.0,
        unanswered=requests,
    )
    observers([AssociationLog()]).association_ended(record(), ending)
    text = str(lines[0]["unanswered"])
    assert text.startswith("C-STORE 1 of 512 bytes, 9.5 s ago; C-STORE 2, 10.0 s under way; ")
    assert text.endswith("; 3 more")


def test_one_line_for_a_refusal_with_its_reason(lines: list[dict[str, object]]) -> None:
    refusal = Refusal(result=1, source=1, reason=7, cause="not one of ours", code="not-allowed")
    observers([AssociationLog()]).association_refused(record(), refusal)
    (line,) = lines
    assert (line["result"], line["source"], line["reason"]) == (1, 1, 7)
    assert line["cause"] == "not one of ours"


def test_the_request_and_the_answer_are_shown_at_debug(lines: list[dict[str, object]]) -> None:
    asked, answered = decode_pdu(request()), decode_pdu(accept(results={1: 0, 3: 4}))
    assert isinstance(asked, AssociateRequest)
    assert isinstance(answered, AssociateAccept)
    watcher = observers([AssociationLog()])
    watcher.association_requested(record(), asked)
    watcher.association_accepted(record(), answered, asked, ())
    text = "\n".join(str(line["event"]) for line in lines)
    assert "Verification SOP Class" in text
    assert "CT Image Storage" in text


@pytest.mark.parametrize(
    ("side", "refused", "by"),
    [
        (Side.ACCEPTOR, (), "the other side"),
        (Side.REQUESTOR, (), "the target"),
        (Side.REQUESTOR, (3,), "this proxy's filter (DIMSE_CONFIG_PATH)"),
    ],
)
def test_refused_contexts_are_named_for_everybody(
    lines: list[dict[str, object]], side: Side, refused: tuple[int, ...], by: str
) -> None:
    asked = decode_pdu(request(syntaxes=(VERIFICATION, CT)))
    answered = decode_pdu(accept(results={1: 0, 3: 3}))
    assert isinstance(asked, AssociateRequest)
    assert isinstance(answered, AssociateAccept)
    ours = tuple(ContextResult(context_id=number, result=3, transfer_syntax="1.2.840.10008.1.2") for number in refused)
    AssociationLog().association_accepted(record(side), answered, asked, ours)
    (line,) = [line for line in lines if line["level"] == "info"]
    assert line["by"] == by
    assert line["contexts"] == ["3: CT Image Storage (abstract syntax not supported)"]


def test_messages_are_shown_at_debug(lines: list[dict[str, object]]) -> None:
    tracker = MessageTracker({1: CT})
    (seen,) = tracker.observe(
        CommandFragment(context_id=1, data=STORE_RSP.encode(), is_last=True), from_requestor=False, now=1.1
    )
    observers([AssociationLog()]).message_seen(record(), seen)
    assert str(lines[0]["event"]).startswith("> C-STORE-RSP 7")
    assert lines[0]["level"] == "debug"


def test_probes_are_for_debug_and_strangers_are_a_warning(lines: list[dict[str, object]]) -> None:
    watcher = observers([AssociationLog()])
    watcher.connection_idle(record(), "closed by the peer")
    watcher.stranger_called(record(), "looks like an HTTP request")
    assert [line["level"] for line in lines] == ["debug", "warning"]


def test_peers_and_nats(lines: list[dict[str, object]]) -> None:
    log = AssociationLog()
    log.peer_appeared("B", "b1", "0.1.0")
    log.peer_lost("B", "b1", "silent")
    log.peer_lost("B", "b2", "going-away")
    log.nats_connected("nats://127.0.0.1:4222", 1048576)
    log.nats_disconnected("end of file")
    log.nats_error("authorization violation", True)
    log.nats_error("connection refused by 127.0.0.1:4222", False)
    assert [line["level"] for line in lines] == ["info", "warning", "info", "info", "warning", "error", "warning"]
    assert "not heard any more" in str(lines[1]["cause"])
    assert lines[2]["cause"] == "it has shut down"
    assert [line["text"] for line in lines[5:]] == [
        "authorization violation",
        "connection refused by 127.0.0.1:4222; trying again",
    ]
