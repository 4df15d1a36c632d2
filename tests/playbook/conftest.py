"""A stage for relay scripts: ports that record what the relay asks for, and PDUs to feed it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from dimse_proxy.dimse.contents import ContentSeen
from dimse_proxy.dimse.tracking import MessageSeen
from dimse_proxy.proxy.acceptor_relay import AcceptorRelay
from dimse_proxy.proxy.admission import Admission
from dimse_proxy.proxy.hooks import AssociationRecord, Ending, Refusal, Side
from dimse_proxy.proxy.policy import Policy
from dimse_proxy.proxy.requestor_relay import RequestorRelay
from dimse_proxy.proxy.routes import ANY, AskedFor, LocalAe, MoveAlias, Routes, Target, Way
from dimse_proxy.proxy.timers import RelaySettings
from dimse_proxy.transports.streams import Address
from dimse_proxy.upper_layer.codec import encode_associate_accept, encode_associate_request
from dimse_proxy.upper_layer.implementation import own_user_information
from dimse_proxy.upper_layer.pdu import AssociateAccept, AssociateRequest, ContextResult, ProposedContext

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def title(text: str) -> bytes:
    return text.encode().ljust(16)


def request(
    *, called: str = "INGESTION", calling: str = "MODALITY", syntaxes: Sequence[str] = (VERIFICATION, CT)
) -> bytes:
    return encode_associate_request(
        called_ae_title=title(called),
        calling_ae_title=title(calling),
        presentation_contexts=[
            ProposedContext(context_id=2 * place + 1, abstract_syntax=syntax, transfer_syntaxes=(IMPLICIT, EXPLICIT))
            for place, syntax in enumerate(syntaxes)
        ],
        user_information=own_user_information(),
    )


def accept(*, called: str = "INGESTION", calling: str = "MODALITY", results: Mapping[int, int] | None = None) -> bytes:
    return encode_associate_accept(
        called_ae_title=title(called),
        calling_ae_title=title(calling),
        presentation_contexts=[
            ContextResult(context_id=number, result=result, transfer_syntax=IMPLICIT)
            for number, result in (results or {1: 0, 3: 0}).items()
        ],
        user_information=own_user_information(),
    )


@dataclass
class EndPoint:
    """Stands where a TCP connection would."""

    written: bytearray = field(default_factory=bytearray)
    calls: list[str] = field(default_factory=list)
    unsent: int = 0
    is_waiting: bool = True

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        for part in parts:
            self.written += part

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def close(self) -> None:
        self.calls.append("close")

    def reset(self) -> None:
        self.calls.append("reset")

    def connect(self, way: Way) -> None:
        self.calls.append("connect")
        self.way = way

    def set_waiting(self, is_waiting: bool) -> None:
        self.is_waiting = is_waiting

    def open_session(
        self, asked: AskedFor, info: Mapping[str, str], asked_with: AssociateRequest, now: float
    ) -> "Session":
        self.calls.append("open")
        self.channel = asked.channel
        self.session = Session(info=dict(info))
        return self.session

    def taken(self) -> bytes:
        """What was written since the last look."""
        written = bytes(self.written)
        self.written.clear()
        return written


@dataclass
class Session:
    """Stands where a session of the tunnel would."""

    info: dict[str, str] = field(default_factory=dict)
    sent: bytearray = field(default_factory=bytearray)
    ended: bool = False
    aborted: dict[str, object] | None = None
    credited: int = 0
    writable: bool = True
    id_text: str = "5e5510"

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        assert not self.ended
        assert self.aborted is None
        self.sent += data

    def send_end(self, now: float) -> None:
        self.ended = True

    def send_abort(self, detail: Mapping[str, object], now: float) -> None:
        self.aborted = dict(detail)

    def consumed(self, length: int, now: float) -> None:
        self.credited += length

    def taken(self) -> bytes:
        """What was sent since the last look."""
        sent = bytes(self.sent)
        self.sent.clear()
        return sent


@dataclass
class Audience:
    """An observer that remembers."""

    refusals: list[Refusal] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    messages: list[MessageSeen] = field(default_factory=list)
    requested: list[AssociateRequest] = field(default_factory=list)
    accepted: list[AssociateAccept] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    turned_away: list[str] = field(default_factory=list)
    operations: list[tuple[str, bool]] = field(default_factory=list)
    """Service that was refused, and whether it came from the end point."""
    contents: list[ContentSeen] = field(default_factory=list)

    def association_requested(self, record: AssociationRecord, request: AssociateRequest) -> None:
        self.requested.append(request)

    def association_accepted(
        self,
        record: AssociationRecord,
        accept: AssociateAccept,
        request: AssociateRequest,
        refused: Sequence[ContextResult],
    ) -> None:
        self.accepted.append(accept)

    def association_refused(self, record: AssociationRecord, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    def message_seen(self, record: AssociationRecord, message: MessageSeen) -> None:
        self.messages.append(message)

    def association_ended(self, record: AssociationRecord, ending: Ending) -> None:
        self.endings.append(ending)

    def operation_refused(self, record: AssociationRecord, service: str, *, from_end_point: bool) -> None:
        self.operations.append((service, from_end_point))

    def content_seen(self, record: AssociationRecord, content: ContentSeen) -> None:
        self.contents.append(content)

    def connection_turned_away(self, record: AssociationRecord, cause: str) -> None:
        self.turned_away.append(cause)

    def connection_idle(self, record: AssociationRecord, cause: str) -> None:
        self.idle.append(cause)

    def stranger_called(self, record: AssociationRecord, cause: str) -> None:
        self.strangers.append(cause)


TARGET = Target(asked_for=(ANY,), channels=("B",), hosts=(Address("pacs", 104),), ae_title="ARCHIVE")


def policy(**changes: object) -> Policy:
    """A proxy that answers to one title and has one target, as the variables make it."""
    values: dict[str, object] = {
        "own_ae_title": "INGESTION",
        "channels": ("B",),
        "local_aes": (LocalAe(called="INGESTION", channel="B"),),
        "targets": (TARGET,),
    }
    return Policy(routes=Routes(**{**values, **changes}))  # type: ignore[arg-type]


def alias(asker: str, title: str) -> MoveAlias:
    return MoveAlias(asker=asker, alias=title, channel="B")


POLICY = policy()


@dataclass
class AcceptorStage:
    relay: AcceptorRelay
    end_point: EndPoint
    heard: Audience
    """What it was told so far."""
    admission: Admission

    @property
    def audience(self) -> Audience:
        """What it was told once all bytes had left."""
        self.relay.take_note()
        return self.heard

    @property
    def session(self) -> Session:
        return self.end_point.session

    def ask(self, raw: bytes | None = None) -> None:
        self.relay.end_point_received(request() if raw is None else raw, 1.0)

    def establish(self) -> None:
        """An association through to the target, nothing left to look at."""
        self.ask()
        self.relay.session_received(accept(), 2.0)
        self.session.taken()
        self.end_point.taken()


@dataclass
class RequestorStage:
    relay: RequestorRelay
    end_point: EndPoint
    session: Session
    heard: Audience
    """What it was told so far."""
    admission: Admission

    @property
    def audience(self) -> Audience:
        """What it was told once all bytes had left."""
        self.relay.take_note()
        return self.heard

    def ask(self, raw: bytes | None = None) -> None:
        self.relay.opened(0.5)
        self.relay.session_received(request() if raw is None else raw, 1.0)

    def establish(self) -> None:
        """An association with the target, nothing left to look at."""
        self.ask()
        self.relay.connected(1.5)
        self.relay.end_point_received(accept(called="ARCHIVE", calling="INGESTION"), 2.0)
        self.session.taken()
        self.end_point.taken()


def acceptor_stage(rules: Policy = POLICY, settings: RelaySettings | None = None, limit: int = 0) -> AcceptorStage:
    end_point, audience, admission = EndPoint(), Audience(), Admission(limit)
    relay = AcceptorRelay(
        record=AssociationRecord(side=Side.ACCEPTOR, started=0.0, peer="10.0.0.7:40000", channel="B"),
        end_point=end_point,
        host="10.0.0.7",
        policy=rules,
        admission=admission,
        settings=settings or RelaySettings(),
        observer=audience,
        now=0.0,
    )
    return AcceptorStage(relay=relay, end_point=end_point, heard=audience, admission=admission)


def requestor_stage(
    rules: Policy = POLICY,
    settings: RelaySettings | None = None,
    limit: int = 0,
    info: Mapping[str, str] | None = None,
) -> RequestorStage:
    end_point, audience, admission, session = EndPoint(), Audience(), Admission(limit), Session()
    relay = RequestorRelay(
        record=AssociationRecord(
            side=Side.REQUESTOR,
            started=0.0,
            peer="10.0.0.7:40000",
            calling="MODALITY",
            called="INGESTION",
            channel="B",
        ),
        end_point=end_point,
        session=session,
        info=info or {"called": "INGESTION", "calling": "MODALITY", "peer": "10.0.0.7:40000"},
        policy=rules,
        admission=admission,
        settings=settings or RelaySettings(),
        observer=audience,
    )
    return RequestorStage(relay=relay, end_point=end_point, session=session, heard=audience, admission=admission)


@pytest.fixture
def acceptor() -> AcceptorStage:
    return acceptor_stage()


@pytest.fixture
def requestor() -> RequestorStage:
    return requestor_stage()
