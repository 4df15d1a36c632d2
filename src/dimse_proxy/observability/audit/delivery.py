"""One target's way out: a backlog, and a thread that sends what is in it, in order, again until it is taken.

The writer thread stores, the sender thread sends; a receiver that hangs holds up nobody but its own sender.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from dimse_proxy.observability.audit.backlog import Backlog
from dimse_proxy.observability.audit.messages import AuditMessage
from dimse_proxy.observability.audit.outlets import Outlet, OutletError
from dimse_proxy.observability.audit.spool import Batch
from dimse_proxy.observability.flood import Flood

RETRIES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before each try after one that failed; the last again and again."""
DROPS_INTERVAL: Final = 60.0
"""Seconds between two lines of the log on messages that had to make room."""

log: Final = logging.getLogger(__name__)


class Delivery:
    """Sends audit messages to one target."""

    def __init__(
        self,
        outlet: Outlet,
        backlog: Backlog,
        render: Callable[[AuditMessage], bytes],
        lost: Callable[[int], AuditMessage],
        *,
        retries: tuple[float, ...] = RETRIES,
    ) -> None:
        """Starts nothing yet.

        Args:
            outlet: takes records.
            backlog: keeps them; used by this object only.
            render: makes a record of a message.
            lost: makes the message that so many were dropped.
            retries: seconds before each try.
        """
        self._outlet: Final = outlet
        self._backlog: Final = backlog
        self._render: Final = render
        self._lost: Final = lost
        self._retries: Final = retries
        self._changed: Final = threading.Condition()
        self._thread: Final = threading.Thread(target=self._run, name=f"audit {outlet.name}", daemon=True)
        self._deadline: float | None = None
        self._is_closed = False
        self._reopen = False
        self._failures = 0
        self._next_try = 0.0
        self._trouble: str | None = None
        self._told_dropped = 0
        self._drops: Final = Flood(DROPS_INTERVAL)
        self.sent = 0
        """Messages that were taken; only ever grows."""
        self.too_long = 0
        """Messages that no datagram takes; only ever grows."""
        self.dropped_before = 0
        """Messages that never came here, because the writer was too far behind."""

    @property
    def name(self) -> str:
        """Of the target."""
        return self._outlet.name

    @property
    def is_reachable(self) -> bool:
        """The last try went well, or there was none."""
        return self._trouble is None

    @property
    def waiting(self) -> int:
        """Messages that wait."""
        return self._backlog.count

    @property
    def waiting_bytes(self) -> int:
        """Bytes that they take."""
        return self._backlog.size

    @property
    def dropped(self) -> int:
        """Messages that had to make room; only ever grows."""
        return self._backlog.dropped + self.dropped_before

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def store(self, message: AuditMessage) -> None:
        """Keep a message until it is sent. May wait for the disk."""
        record = self._render(message)
        with self._changed:
            self._backlog.append(record)
            self._changed.notify()
        self._say_dropped()

    def reopen(self) -> None:
        """Give the connection or file up before the next message: a file may have been moved away."""
        with self._changed:
            self._reopen = True
            self._changed.notify()

    def give_last_chance(self, seconds: float) -> None:
        """Send what waits within `seconds`, at once even if it could not be sent before, and then end."""
        with self._changed:
            self._deadline = time.monotonic() + seconds
            self._next_try = 0.0
            self._changed.notify()

    def close(self, seconds: float) -> int:
        """Wait for the end of `give_last_chance`, for `seconds` at most; return how many messages are lost."""
        self._thread.join(seconds)
        with self._changed:
            self._is_closed = True
            lost = self._backlog.in_memory
            self._backlog.close()
        return lost

    # The sender thread.

    def _run(self) -> None:
        while self._wait():
            if self._reopen:
                self._reopen = False
                self._outlet.close()
            with self._changed:
                found = self._backlog.head()
            if found is None:
                self._next_try = time.monotonic() + self._retries[-1]  # There are some, and they cannot be read.
                continue
            is_on_disk, batch = found
            try:
                left_out = self._outlet.send(batch.records)
            except OutletError as error:
                self._outlet.close()
                self._strike_off(is_on_disk, batch.first_ones(error.taken), 0)
                self._failed(str(error))
            except Exception as error:
                # Without its text: that may hold what must not be logged.
                self._failed(f"a fault in this proxy ({type(error).__name__})")
            else:
                self._strike_off(is_on_disk, batch, left_out)
                self._succeeded(left_out)
        self._outlet.close()

    def _strike_off(self, is_on_disk: bool, batch: Batch, left_out: int) -> None:
        with self._changed:
            if self._is_closed:
                return
            self._backlog.forget(is_on_disk, batch)
            self.sent += len(batch.records) - left_out
            self.too_long += left_out

    def _wait(self) -> bool:
        """Wait until there is something to do; False when there is nothing more to do ever."""
        with self._changed:
            while True:
                now = time.monotonic()
                is_some = bool(self._backlog.count)
                is_due = is_some and now >= self._next_try
                if self._deadline is not None and (not is_due or now > self._deadline):
                    return False
                if is_due or self._reopen:
                    return True
                self._changed.wait(self._next_try - now if is_some else None)

    def _failed(self, trouble: str) -> None:
        delay = self._retries[min(self._failures, len(self._retries) - 1)]
        self._failures += 1
        self._next_try = time.monotonic() + delay
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("audit messages cannot be sent to %s, and are kept: %s", self.name, trouble)

    def _succeeded(self, left_out: int) -> None:
        self._failures = 0
        if left_out:
            log.warning("%d audit messages are longer than %s takes, and are lost", left_out, self.name)
        if self._trouble is not None:
            self._trouble = None
            log.info("audit messages are sent to %s again; %d wait", self.name, self.waiting)
        dropped = self.dropped
        if dropped > self._told_dropped and self._deadline is None:
            lost, self._told_dropped = dropped - self._told_dropped, dropped
            self.store(self._lost(lost))

    def _say_dropped(self) -> None:
        if self.dropped > self._told_dropped and self._drops.left_out() is not None:
            log.warning(
                "%d audit messages to %s are lost up to now: more wait than there is room for, and the oldest go first",
                self.dropped,
                self.name,
            )
