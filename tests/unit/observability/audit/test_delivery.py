"""From the event loop to an outlet: writer and sender threads, an outlet that fails, hangs, and works again."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dimse_proxy.observability.audit.backlog import Backlog
from dimse_proxy.observability.audit.delivery import Delivery
from dimse_proxy.observability.audit.messages import AuditMessage
from dimse_proxy.observability.audit.outlets import OutletError
from dimse_proxy.observability.audit.spool import Spool
from dimse_proxy.observability.audit.writer import Writer
from tests.unit.observability.audit.test_audit_events import EVENTS, MESSAGES

PATIENCE = 20.0


def message(text: str) -> AuditMessage:
    return EVENTS.stopped(text)


def render(made: AuditMessage) -> bytes:
    return (made.description or made.objects[0].details[0][1].decode()).encode()


class OutletDouble:
    """Takes records, or does what it is told to."""

    name = "tls://log.example.org:6514"

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.taken: list[bytes] = []
        self.trouble: Exception | None = None
        self.left_out = 0
        self.tries = 0
        self.closed = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def send(self, records: Sequence[bytes]) -> int:
        assert self.may_go_on.wait(PATIENCE)
        with self.changed:
            self.tries += 1
            self.changed.notify_all()
            if self.trouble is not None:
                if isinstance(self.trouble, OutletError):
                    self.taken += records[: self.trouble.taken]
                raise self.trouble
            self.taken += records
            return self.left_out

    def close(self) -> None:
        with self.changed:
            self.closed += 1
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE)

    def set_trouble(self, trouble: Exception | None) -> None:
        with self.changed:
            self.trouble = trouble


class Stage:
    def __init__(self, spool: Spool | None = None, memory_limit: int = 1 << 20) -> None:
        self.outlet = OutletDouble()
        self.delivery = Delivery(
            self.outlet,
            Backlog(spool, lambda _trouble: None, memory_limit=memory_limit),
            render,
            lambda number: message(f"lost {number}"),
            retries=(0.001, 0.002),
        )

    def store(self, *texts: str) -> None:
        for text in texts:
            self.delivery.store(message(text))

    def end(self) -> int:
        self.delivery.give_last_chance(PATIENCE)
        return self.delivery.close(PATIENCE)


def test_in_order_and_once() -> None:
    stage = Stage()
    stage.store("0")
    stage.delivery.start()
    stage.store(*"123456789")
    stage.outlet.wait_for(lambda: len(stage.outlet.taken) == 10)
    assert stage.end() == 0
    assert b"".join(stage.outlet.taken) == b"0123456789"
    assert (stage.delivery.sent, stage.delivery.waiting, stage.delivery.is_reachable) == (10, 0, True)


def test_a_receiver_that_fails_and_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stage = Stage()
    stage.outlet.set_trouble(OutletError("Connection refused"))
    stage.delivery.start()
    stage.store("0", "1")
    stage.outlet.wait_for(lambda: stage.outlet.tries > 5)
    assert (stage.delivery.is_reachable, stage.delivery.waiting) == (False, 2)
    assert stage.outlet.closed >= 4
    stage.outlet.set_trouble(None)
    stage.outlet.wait_for(lambda: len(stage.outlet.taken) == 2)
    stage.end()
    assert stage.outlet.taken == [b"0", b"1"]
    assert [record.message for record in caplog.records] == [
        "audit messages cannot be sent to tls://log.example.org:6514, and are kept: Connection refused",
        "audit messages are sent to tls://log.example.org:6514 again; 0 wait",
    ]


def test_a_batch_that_is_taken_in_part() -> None:
    stage = Stage()
    stage.outlet.set_trouble(OutletError("refused", taken=2))
    stage.store("0", "1", "2", "3", "4")
    stage.delivery.start()
    stage.outlet.wait_for(lambda: stage.outlet.tries >= 2)
    stage.outlet.set_trouble(None)
    stage.outlet.wait_for(lambda: len(stage.outlet.taken) == 5)
    stage.end()
    assert stage.outlet.taken == [b"0", b"1", b"2", b"3", b"4"]


def test_what_had_to_make_room_is_said_in_the_log_and_in_the_trail(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(memory_limit=30)
    stage.outlet.set_trouble(OutletError("Connection refused"))
    stage.delivery.start()
    stage.store(*(f"{number:010}" for number in range(8)))
    assert stage.delivery.dropped == 5
    assert [record.message for record in caplog.records if "lost" in record.message] == [
        "1 audit messages to tls://log.example.org:6514 are lost up to now: more wait than there is room for, and the "
        "oldest go first"
    ]
    stage.outlet.set_trouble(None)
    stage.outlet.wait_for(lambda: b"lost 5" in stage.outlet.taken)
    stage.end()
    assert stage.outlet.taken == [b"0000000005", b"0000000006", b"0000000007", b"lost 5"]


def test_what_no_datagram_takes_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.outlet.left_out = 1
    stage.store("0", "1")
    stage.delivery.start()
    stage.outlet.wait_for(lambda: len(stage.outlet.taken) == 2)
    stage.end()
    assert (stage.delivery.sent, stage.delivery.too_long) == (1, 1)
    assert "1 audit messages are longer than tls://log.example.org:6514 takes, and are lost" in caplog.text


def test_the_last_chance_is_one_try(tmp_path: Path) -> None:
    stage = Stage()
    stage.outlet.set_trouble(OutletError("Connection refused"))
    stage.delivery._retries = (1000.0,)  # type: ignore[misc]
    stage.store("0")
    stage.delivery.start()
    stage.outlet.wait_for(lambda: stage.outlet.tries == 1)
    assert stage.end() == 1
    assert stage.outlet.tries == 2
    on_disk = Stage(Spool(tmp_path / "a.spool", 1 << 20))
    on_disk.outlet.set_trouble(OutletError("Connection refused"))
    on_disk.store("0")
    on_disk.delivery.start()
    assert on_disk.end() == 0
    again = Stage(Spool(tmp_path / "a.spool", 1 << 20))
    again.delivery.start()
    again.outlet.wait_for(lambda: len(again.outlet.taken) == 1)
    again.end()


def test_a_receiver_that_hangs_does_not_hold_up_the_end_nor_the_writer() -> None:
    stage = Stage()
    stage.outlet.may_go_on.clear()
    stage.store("0")
    stage.delivery.start()
    writer = Writer([stage.delivery], lambda: None)
    writer.start()
    for number in range(100):
        writer.put(message(f"{number}"))
    writer.close(PATIENCE)
    assert stage.delivery.waiting == 101
    stage.delivery.give_last_chance(0.01)
    assert stage.delivery.close(0.01) == 101
    stage.outlet.may_go_on.set()
    stage.outlet.wait_for(lambda: stage.outlet.closed == 1)
    assert stage.delivery.sent == 0, "nobody counts any more"


def test_a_fault_of_our_own_is_like_a_receiver_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.outlet.set_trouble(ValueError("Zq1Patient"))
    stage.store("0")
    stage.delivery.start()
    stage.outlet.wait_for(lambda: stage.outlet.tries > 2)
    stage.outlet.set_trouble(None)
    assert stage.end() == 0
    assert "a fault in this proxy (ValueError)" in caplog.text
    assert "Zq1" not in caplog.text


def test_a_file_is_opened_again() -> None:
    stage = Stage()
    stage.delivery.start()
    stage.delivery.reopen()
    stage.outlet.wait_for(lambda: stage.outlet.closed == 1)
    stage.store("0")
    stage.outlet.wait_for(lambda: len(stage.outlet.taken) == 1)
    stage.end()


def test_a_spool_that_cannot_be_read_is_no_busy_loop(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "a.spool", 1 << 20)
    stage = Stage(spool)
    stage.store("0")
    spool.close()
    stage.delivery.start()
    stage.delivery.reopen()
    stage.outlet.wait_for(lambda: stage.outlet.closed == 1)
    stage.delivery.give_last_chance(0.01)
    stage.delivery.close(PATIENCE)
    assert stage.outlet.tries == 0


def test_the_queue_has_a_limit_and_what_it_dropped_is_counted() -> None:
    stage = Stage()
    writer = Writer([stage.delivery], lambda: None, limit=3)
    for number in range(5):
        writer.put(message(f"{number}"))
    stage.delivery.start()
    writer.start()
    stage.outlet.wait_for(lambda: len(stage.outlet.taken) >= 4)
    writer.close(PATIENCE)
    stage.end()
    assert sorted(stage.outlet.taken) == [b"2", b"3", b"4", b"lost 2"]
    assert stage.delivery.dropped == 2


def test_a_fault_in_one_target_is_none_in_another(caplog: pytest.LogCaptureFixture) -> None:
    good, bad = Stage(), Stage()
    bad.delivery._render = lambda _message: 1 // 0  # type: ignore[assignment, misc, return-value]
    signs: list[int] = []

    def sign_of_life() -> None:
        signs.append(1)
        raise OSError(28, "No space left on device")

    writer = Writer([bad.delivery, good.delivery], sign_of_life)
    writer.start()
    good.delivery.start()
    writer.put(MESSAGES["stop by a fault"])
    good.outlet.wait_for(lambda: good.outlet.taken == [b"a fault"])
    writer.close(PATIENCE)
    good.end()
    assert bad.delivery.dropped == 1
    assert signs == [1]
    assert "an audit message to tls://log.example.org:6514 is lost" in caplog.text
