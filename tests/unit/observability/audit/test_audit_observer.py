"""Which news become audit messages, and which do not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from dimse_proxy.dimse.command_set import CommandSet
from dimse_proxy.dimse.contents import Content, ContentSeen, Identifier, Unread
from dimse_proxy.dimse.data_set_head import StudyHead
from dimse_proxy.dimse.status import StatusClass
from dimse_proxy.dimse.tracking import MessageSeen
from dimse_proxy.observability.audit.events import Events, Node
from dimse_proxy.observability.audit.messages import AuditMessage, AuditSource, Participant
from dimse_proxy.observability.audit.observer import AuditObserver
from dimse_proxy.observability.audit.rendering import to_xml
from dimse_proxy.observability.audit.sieve import SUBJECTS_LIMIT, AlertSieve
from dimse_proxy.proxy.hooks import AssociationRecord, Side
from dimse_proxy.proxy.refusals import RefusalCode
from dimse_proxy.tunnel.events import TunnelCode
from tests.unit.dimse import messages
from tests.unit.observability.audit.profile import checked
from tests.unit.observability.watching import REQUEST, TunnelDouble, command, ending, record, refusal

START = datetime(2026, 3, 1, tzinfo=UTC)
STORE_RSP = command(t0100=b"\1\x80", t0120=b"\1\0", t0800=b"\1\1", t0900=b"\0\0")
HEAD = StudyHead(patient_id="4711", patient_name="Doe^Jane", study_instance_uid="1.2.3")


@dataclass
class Stage:
    with_contents: bool = True
    now: float = 1000.0
    emitted: list[AuditMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        events = Events(Node(instance="a1", host="proxy-a", titles=("OWN",)), AuditSource(source_id="a"), self.time)
        self.observer = AuditObserver(
            events,
            self.emitted.append,
            clock=lambda: self.now,
            wall_clock=self.time,
            nats_uri="tls://nats:4222",
            with_contents=self.with_contents,
        )

    def time(self) -> datetime:
        return START + timedelta(seconds=self.now)

    def taken(self) -> list[AuditMessage]:
        """What came since the last look, each of it as the standard wants it."""
        taken = self.emitted[:]
        self.emitted.clear()
        for each in taken:
            checked(to_xml(each))
        return taken

    def words(self) -> list[str]:
        return [(each.event_type or each.event).word for each in self.taken()]

    def see(self, asked: AssociationRecord, request: bytes, content: Content, *, from_requestor: bool = True) -> None:
        self.observer.content_seen(
            asked,
            ContentSeen(
                from_requestor=from_requestor,
                command=CommandSet.decode(request),
                transfer_syntax="1.2.840.10008.1.2",
                content=content,
            ),
        )

    def answer(self, asked: AssociationRecord, *, from_requestor: bool = False) -> None:
        self.observer.message_seen(
            asked,
            MessageSeen(
                from_requestor=from_requestor,
                context_id=1,
                abstract_syntax="",
                service="C-STORE",
                command=STORE_RSP,
                status_class=StatusClass.SUCCESS,
                data_set_length=0,
                duration=None,
            ),
        )


def described(message: AuditMessage) -> str:
    return message.objects[0].details[0][1].decode()


def who(participant: Participant) -> tuple[str, tuple[str, ...], str | None]:
    return participant.user_id, participant.titles, participant.host


def test_the_process_enters_and_leaves_the_network() -> None:
    stage = Stage()
    stage.observer.nats_connected("nats", 1)
    stage.observer.nats_disconnected("EOF")
    stage.observer.nats_disconnected("still")
    attached, detached = stage.taken()
    assert (attached.description, detached.description) == (None, "NATS disconnected: EOF")
    stage.observer.nats_connected("nats", 1)
    stage.observer.stop(None)
    assert stage.words() == ["attach", "detach", "application-stop"]
    stage.observer.stop("a fault")
    [stopped] = stage.taken()
    assert stopped.description == "a fault"


@pytest.mark.parametrize(
    "code",
    [
        RefusalCode.CALLING_NOT_ALLOWED,
        RefusalCode.CALLED_NOT_ALLOWED,
        RefusalCode.NOT_ALLOWED,
        RefusalCode.NO_ROUTE,
    ],
)
def test_who_may_not_is_an_alert(code: str) -> None:
    stage = Stage()
    asked = record()
    stage.observer.association_requested(asked, REQUEST)
    stage.observer.association_refused(asked, refusal(code=code, cause="not in the list"))
    [message] = stage.taken()
    assert message.event_type is not None
    assert message.event_type.word == "node-authentication"
    assert who(message.participants[1]) == ("CT1", ("CT1",), "10.0.0.7")
    assert message.objects[0].object_id == "10.0.0.7"
    assert "association of CT1 at 10.0.0.7:4000 with INGESTION refused: not in the list" in described(message)


def test_what_cannot_is_none() -> None:
    stage = Stage()
    for code in (RefusalCode.LIMIT, RefusalCode.TARGET_UNREACHABLE, TunnelCode.NO_PEER):
        stage.observer.association_refused(record(), refusal(code=code))
    stage.observer.peer_refused("B", "b1", TunnelCode.VERSION_MISMATCH)
    stage.observer.nats_error("slow consumer", fatal=False)
    stage.observer.connection_idle(record(), "")
    stage.observer.stranger_called(record(), "HTTP")
    stage.observer.look(TunnelDouble())
    assert stage.taken() == []


def test_a_stranger_without_an_address() -> None:
    stage = Stage()
    stage.observer.association_refused(
        record(Side.REQUESTOR, peer=""), refusal(code=RefusalCode.NOT_ALLOWED, cause="no")
    )
    [message] = stage.taken()
    assert message.objects[0].object_id == "CT1"


def test_operations_that_are_not_allowed() -> None:
    stage = Stage()
    asked = record(Side.REQUESTOR, operations_refused={"N-DELETE": 1, "C-STORE": 2})
    stage.observer.operation_refused(asked, "N-DELETE", from_end_point=False)
    stage.observer.operation_refused(asked, "C-STORE", from_end_point=False)
    stage.now += 60
    stage.observer.operation_refused(asked, "N-DELETE", from_end_point=True)
    other, own = stage.taken()
    assert other.event_type is not None
    assert other.event_type.word == "use-of-restricted-function"
    assert "N-DELETE of CT1 refused: DIMSE_ALLOWED_OPERATIONS_IN" in described(other)
    assert who(other.participants[1]) == ("CT1", ("CT1",), "10.0.0.7")
    assert "N-DELETE of INGESTION refused: DIMSE_ALLOWED_OPERATIONS_OUT" in described(own)


@pytest.mark.parametrize(
    ("news", "subject", "text"),
    [
        (lambda each: each.tls_failed("[fd00::7]:104", "no certificate"), "fd00::7", "no TLS with [fd00::7]:104"),
        (lambda each: each.peer_refused("B", "b1", TunnelCode.KEY_MISMATCH), "b1@B", "DIMSE_TUNNEL_KEY"),
        (lambda each: each.nats_error("authorization violation", fatal=True), "tls://nats:4222", "authorization"),
    ],
    ids=["TLS", "tunnel key", "NATS"],
)
def test_other_alerts(news: Callable[[AuditObserver], None], subject: str, text: str) -> None:
    stage = Stage()
    news(stage.observer)
    [message] = stage.taken()
    assert message.objects[0].object_id == subject
    assert text in described(message)


def test_forged_messages_are_told_once_a_minute() -> None:
    stage, tunnel = Stage(), TunnelDouble()
    tunnel.counters.forged, tunnel.counters.replayed = 2, 1
    stage.observer.look(tunnel)
    tunnel.counters.forged = 10
    stage.observer.look(tunnel)
    [message] = stage.taken()
    assert described(message).startswith("3 messages")
    stage.now += 60
    stage.observer.look(tunnel)
    [message] = stage.taken()
    assert described(message).startswith("8 messages")


def test_a_stranger_cannot_fill_the_trail() -> None:
    stage = Stage()
    for _ in range(100):
        stage.observer.tls_failed("10.0.0.9:1", "no")
    for number in range(100):
        stage.observer.tls_failed(f"10.0.1.{number}:1", "no")
    assert len(stage.taken()) == 1
    stage.now += 1.5
    stage.observer.tls_failed("10.0.0.10:1", "no")
    [message] = stage.taken()
    assert "(100 more like it were left out)" in described(message)
    stage.now += 60
    stage.observer.tls_failed("10.0.0.9:1", "no")
    [message] = stage.taken()
    assert "(99 more like it were left out)" in described(message)


def test_the_sieve_forgets_those_of_long_ago() -> None:
    sieve = AlertSieve(lambda: 0.0)
    assert sieve.left_out("kind", "first") == 0
    for number in range(SUBJECTS_LIMIT):
        sieve.left_out("kind", f"{number}")
    assert len(sieve._subjects) == SUBJECTS_LIMIT


def test_a_store_on_the_acceptor_side() -> None:
    stage = Stage()
    asked = record()
    stage.observer.association_requested(asked, REQUEST)
    stage.see(asked, messages.store_request(), HEAD)
    [begins] = stage.taken()
    source, destination, own = begins.participants
    assert who(source) == ("CT1", ("CT1",), "10.0.0.7")
    assert who(destination) == ("INGESTION", ("INGESTION",), None)
    assert own.user_id == "a1"
    stage.answer(asked)
    stage.observer.look(TunnelDouble())
    assert stage.taken() == []
    stage.now += 60
    stage.observer.look(TunnelDouble())
    assert stage.words() == ["dicom-instances-transferred"]
    stage.see(asked, messages.store_request(), HEAD)
    stage.answer(asked)
    stage.observer.association_ended(asked, ending())
    assert stage.words() == ["begin-transferring-dicom-instances", "dicom-instances-transferred"]
    stage.answer(asked)
    assert stage.taken() == []


def test_a_move_on_the_requestor_side() -> None:
    stage = Stage()
    asked = record(Side.REQUESTOR, target_host="pacs")
    stage.observer.association_requested(asked, REQUEST)
    stage.see(asked, messages.store_request(originator=b"ASKER "), HEAD)
    [begins] = stage.taken()
    source, destination, third, _ = begins.participants
    assert who(source) == ("CT1", ("CT1", "MODALITY"), "10.0.0.7")
    assert who(destination) == ("INGESTION", ("INGESTION",), "pacs")
    assert (third.user_id, third.is_requestor, source.is_requestor) == ("ASKER", True, False)


def test_a_get() -> None:
    stage = Stage()
    asked = record()
    stage.observer.association_requested(asked, REQUEST)
    stage.see(asked, messages.store_request(), HEAD, from_requestor=False)
    stage.answer(asked, from_requestor=True)
    stage.observer.association_ended(asked, ending())
    for message in stage.taken():
        source, destination, _ = message.participants
        assert (source.user_id, destination.user_id) == ("INGESTION", "CT1")
        assert (source.is_requestor, destination.is_requestor) == (False, True)


def test_a_query_and_its_destination() -> None:
    stage = Stage()
    asked = record()
    stage.observer.association_requested(asked, REQUEST)
    stage.see(asked, messages.move_request(b"DEST"), Identifier(data=b"abc", length=3))
    [query] = stage.taken()
    assert [each.user_id for each in query.participants] == ["CT1", "INGESTION", "DEST", "a1"]
    assert query.objects[0].object_id == "1.2.840.10008.5.1.4.1.2.2.2"
    assert query.objects[0].query == b"abc"


def test_what_could_not_be_read_is_counted_and_told() -> None:
    stage = Stage()
    asked = record()
    stage.observer.association_requested(asked, REQUEST)
    stage.see(asked, messages.store_request(), Unread())
    stage.observer.stop(None)
    assert stage.observer.contents_unread == 1
    begins, transferred, _ = stage.taken()
    assert {each.object_id for each in (*begins.objects, *transferred.objects)} == {"<unknown>"}
    assert transferred.description == "the association ended before an answer"


def test_without_contents_nothing_is_kept() -> None:
    stage = Stage(with_contents=False)
    asked = record()
    stage.observer.association_requested(asked, REQUEST)
    stage.see(asked, messages.store_request(), HEAD)
    stage.answer(asked)
    stage.observer.association_ended(asked, ending())
    assert stage.taken() == []
