"""The gate for storage commitment, between a relay, a session of the tunnel and a queue."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from dimse_proxy.dimse.command_set import CommandSet, Tag
from dimse_proxy.proxy.store_and_forward.commitment import CommitmentSession
from dimse_proxy.queueing.commitment import HELD_LIMIT, PROCESSING_FAILURE
from dimse_proxy.queueing.subjects import AssociationKey, Kind, Place
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble
from tests.unit.dimse.messages import pdu, pdv
from tests.unit.queueing.dialogue import command_pdu
from tests.unit.queueing.test_commitment import COMMITMENT, REQUEST, action, data_set

KEY = AssociationKey("CT", "0" * 32)


@dataclass
class Stored:
    """A queue whose answers are given: objects that wait, or what is wrong, one for each look."""

    looks: list[int | Exception]
    channel: str = "B"
    told: list[object] = field(default_factory=list)

    @property
    def codec(self) -> "Stored":
        return self

    @property
    def observer(self) -> "Stored":
        return self

    def token(self, title: str) -> str:
        return title

    def note(self, error: JetStreamError) -> None:
        self.told.append(error.trouble)

    def commitment_refused(self, channel: str, calling: str, text: str) -> None:
        self.told.append((channel, calling, text))

    async def places(self, kind: Kind, asker: str) -> AsyncIterator[Place]:
        assert asker == "CT"
        if kind is Kind.RECORD:
            look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
            if isinstance(look, Exception):
                raise look
            for number in range(look):
                yield Place(kind=kind, key=KEY, number=number + 1)


@dataclass
class Ends:
    """The relay on one side, the session of the tunnel on the other."""

    id_text: str = "s"
    writable: bool = True
    sent: bytes = b""
    received: bytes = b""
    heard: list[Any] = field(default_factory=list)

    def send_data(self, data: bytes | memoryview, _now: float) -> None:
        self.sent += data

    def send_end(self, _now: float) -> None:
        self.heard.append("end")

    def send_abort(self, detail: Mapping[str, object], _now: float) -> None:
        self.heard.append(dict(detail))

    def consumed(self, length: int, _now: float) -> None:
        self.heard.append(length)

    def session_acknowledged(self) -> None:
        self.heard.append("acknowledged")

    def session_received(self, data: bytes | memoryview) -> None:
        self.received += data

    def session_ended(self) -> None:
        self.heard.append("ended")

    def session_aborted(self, detail: Mapping[str, object]) -> None:
        self.heard.append(("aborted", dict(detail)))

    def session_failed(self, code: str, text: str) -> None:
        self.heard.append((code, text))

    def session_writable(self) -> None:
        self.heard.append("writable")


ASKED = command_pdu(COMMITMENT, action()) + data_set()


def begun(*looks: int | Exception, seconds: float = 30.0) -> tuple[CommitmentSession, Stored, Ends]:
    queue, ends = Stored(list(looks)), Ends()
    session = CommitmentSession(queue, REQUEST, "CT", ends, seconds=seconds, flush=lambda: None)  # type: ignore[arg-type]
    assert (session.id_text, session.writable) == ("", False)
    session.begin(ends)
    session.send_data(REQUEST.raw, 0.0)
    assert (session.id_text, session.writable) == ("s", True)
    ends.sent = b""
    return session, queue, ends


async def settled() -> None:
    """Lets every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_an_empty_queue_lets_it_go_at_once() -> None:
    session, _, ends = begun(0)
    session.send_data(ASKED, 0.0)
    assert ends.sent == b""
    await settled()
    assert ends.sent == ASKED


async def test_a_request_behind_another_waits_for_itself_whenever_it_comes() -> None:
    for turns in range(6):
        session, _, ends = begun(0)
        session.send_data(ASKED, 0.0)
        for _ in range(turns):
            await asyncio.sleep(0)
        session.send_data(ASKED, 0.0)
        await settled()
        assert ends.sent == ASKED * 2


async def test_a_queue_that_may_not_be_asked_is_a_failure_at_once() -> None:
    session, queue, ends = begun(JetStreamError("no", Trouble.DENIED))
    session.send_data(ASKED, 0.0)
    await settled()
    answer = CommandSet.decode(ends.received[12:])
    assert answer.status == PROCESSING_FAILURE
    assert answer.elements[Tag.ERROR_COMMENT].strip() == b"the queue of this proxy does not answer"
    assert queue.told == [Trouble.DENIED, ("B", "CT", "the queue of this proxy does not answer")]
    assert ends.sent == b""
    # No credit is due for what the tunnel has not brought.
    session.consumed(len(ends.received) + 5, 0.0)
    assert ends.heard == [5]


@pytest.mark.parametrize(
    ("look", "comment"),
    [
        (2, b"2 queued objects of this AE are not delivered yet"),
        (JetStreamError("away", Trouble.AWAY), b"the queue of this proxy does not answer"),
    ],
)
async def test_what_still_waits_when_time_is_up(look: int | Exception, comment: bytes) -> None:
    session, _, ends = begun(look, seconds=0.0)
    session.send_data(ASKED, 0.0)
    await settled()
    answer = CommandSet.decode(ends.received[12:])
    assert (answer.status, answer.elements[Tag.ERROR_COMMENT].strip()) == (PROCESSING_FAILURE, comment)
    assert ends.sent == b""
    # The association goes on, and is heard again.
    answered = ends.received
    session.session_received(answered)
    session.send_data(ASKED, 0.0)
    await settled()
    assert ends.received == answered * 3


async def test_nobody_waits_for_an_scu_that_is_gone() -> None:
    for end in ("end", "abort", "aborted", "failed"):
        session, queue, ends = begun(1)
        session.send_data(ASKED, 0.0)
        await settled()
        match end:
            case "end":
                session.send_end(0.0)
            case "abort":
                session.send_abort({"abort": [0, 0]}, 0.0)
            case "aborted":
                session.session_aborted({"abort": [0, 0]})
            case _:
                session.session_failed("lost", "it is gone")
        await settled()
        assert len(ends.heard) == 1, "whoever is left is told, once"
        assert (ends.sent, ends.received, queue.told) == (b"", b"", [])
        session.send_data(ASKED, 0.0)
        session.consumed(5, 0.0)
        session.send_end(0.0)
        assert (ends.sent, len(ends.heard)) == (b"", 1)
        await settled()


async def test_reading_stops_while_too_much_is_held_and_goes_on_afterwards() -> None:
    session, _, ends = begun(0)
    session.send_data(command_pdu(COMMITMENT, action()) + pdu(pdv(COMMITMENT, 0x02, bytes(HELD_LIMIT))), 0.0)
    assert not session.writable
    session.session_writable()
    assert ends.heard == [], "the tunnel's credit is not what is missing"
    await settled()
    assert ends.heard == ["writable"]
    session.session_writable()
    session.session_acknowledged()
    session.session_ended()
    assert ends.heard == ["writable", "writable", "acknowledged", "ended"]


async def test_a_fault_ends_both() -> None:
    session, _, ends = begun(ZeroDivisionError())
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context["exception"]))
    session.send_data(ASKED, 0.0)
    await settled()
    assert len(failures) == 1
    assert ends.heard[-1] == ("queue", "a fault in this proxy")
    assert "a fault" in str(ends.heard[0])
