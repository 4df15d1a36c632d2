"""What the log says of the queue: names of objects that tell of no patient, and no flood."""

import logging
from dataclasses import replace

import pytest
import structlog

from dimse_proxy.observability.queue_log import QueueLog
from dimse_proxy.queueing.hooks import QueueObserver
from dimse_proxy.queueing.records import DeadLetter, Parties, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey

KEY = AssociationKey("CT1", "0" * 20 + "abcdefabcdef")
RECORD = QueuedObject(
    number=3,
    parties=Parties(calling="CT1", called="ARCHIVE", peer=""),
    sop_class="1.2.840.10008.5.1.4.1.1.2",
    sop_instance="1.2.3.PATIENT.MARKER",
    transfer_syntax="1.2.840.10008.1.2",
    priority=0,
    length=1000,
    chunks=1,
    chunk_size=1000,
    accepted=0.0,
)
LETTER = DeadLetter(reason="status", text="C000H", status=0xC000, tries=1, at=0.0)


@pytest.fixture
def lines() -> list[dict[str, object]]:
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


def test_every_event_has_its_line(lines: list[dict[str, object]]) -> None:
    log: QueueObserver = QueueLog()
    log.queue_ready("B", "streams")
    log.queue_trouble("B", "it is full")
    log.object_queued("B", KEY, RECORD)
    log.object_refused("B", KEY, 0xA700, "it is full")
    log.object_delivered("B", KEY, RECORD, "0000H", False)
    log.object_delivered("B", KEY, RECORD, "B007H", True)
    log.object_put_off("B", KEY, 3, "A700H", 5.0)
    log.object_dead("B", KEY, RECORD, LETTER)
    log.object_unreadable("B", KEY, 3, "no key")
    log.target_rests("B", "PACS", "refused", 5.0, False)
    log.target_rests("B", "PACS", "wrong title", 600.0, True)
    log.target_back("B", "PACS")
    log.handed_over("B", KEY, "5e5510", "C-STORE-RQ of a C-MOVE")
    log.contexts_assumed("B", "ARCHIVE", 2, "away")
    log.swept("B", "chunks")
    assert len(lines) == 15
    assert [line["event"] for line in lines if line["level"] == "error"] == [
        "delivery paused: somebody has to change something"
    ]
    assert "MARKER" not in str(lines)
    assert {line["session"] for line in lines if "session" in line} == {"abcdefabcdef"}


def test_a_thousand_objects_are_a_line(lines: list[dict[str, object]]) -> None:
    log = QueueLog()
    for number in range(1000):
        log.object_dead("B", KEY, replace(RECORD, number=number), LETTER)
    assert len(lines) == 1
