"""The way out of the event loop: a bounded queue of messages, and the thread that renders and stores them.

Putting a message in costs the event loop nothing but that. Beyond the bound the oldest makes room: an association is
never held up for its audit message.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from dimse_proxy.observability.audit.delivery import Delivery
from dimse_proxy.observability.audit.messages import AuditMessage

QUEUE_LIMIT: Final = 4096
"""Messages; a disk that hangs for some seconds fills it at the rate of a busy proxy."""
SIGN_OF_LIFE: Final = 30.0
"""Seconds between two of them."""

log: Final = logging.getLogger(__name__)


class Writer:
    """Takes messages from the event loop to every target's backlog."""

    def __init__(
        self, deliveries: Sequence[Delivery], sign_of_life: Callable[[], None], *, limit: int = QUEUE_LIMIT
    ) -> None:
        """Starts nothing yet.

        Args:
            deliveries: each gets every message.
            sign_of_life: called now and then while the thread lives; may fail with an OSError.
            limit: messages in the queue.
        """
        self._deliveries: Final = deliveries
        self._sign_of_life: Final = sign_of_life
        self._limit: Final = limit
        self._queue: Final[deque[AuditMessage]] = deque()
        self._changed: Final = threading.Condition()
        self._thread: Final = threading.Thread(target=self._run, name="audit writer", daemon=True)
        self._is_closing = False
        self._dropped = 0

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def put(self, message: AuditMessage) -> None:
        """Take a message; returns at once."""
        with self._changed:
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                self._dropped += 1
            self._queue.append(message)
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Store what is in the queue, for `seconds` at most."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        next_sign = 0.0
        while True:
            now = time.monotonic()
            if now >= next_sign:
                next_sign = now + SIGN_OF_LIFE
                self._show_life()
            with self._changed:
                if not self._queue and not self._is_closing:
                    self._changed.wait(next_sign - now)
                message = self._queue.popleft() if self._queue else None
                dropped, self._dropped = self._dropped, 0
            if message is not None:
                self._store(message, dropped)
            elif self._is_closing:
                return

    def _store(self, message: AuditMessage, dropped: int) -> None:
        for delivery in self._deliveries:
            try:
                delivery.dropped_before += dropped
                delivery.store(message)
            except Exception:
                # Without its message: that may hold what must not be logged.
                log.error("a fault in this proxy: an audit message to %s is lost", delivery.name)
                delivery.dropped_before += 1

    def _show_life(self) -> None:
        try:
            self._sign_of_life()
        except OSError as error:
            log.debug("no sign of life in the spool: %s", error.strerror)
