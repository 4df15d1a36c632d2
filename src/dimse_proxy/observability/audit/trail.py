"""The audit trail of one process, wired from its settings: who observes, writes, keeps and sends.

Made only where messages go anywhere. The composition root gives it the hooks and its time; it decides nothing else.
"""

import asyncio
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final

from dimse_proxy.config.pem import PemFiles
from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.observability.audit import codes
from dimse_proxy.observability.audit.backlog import Backlog
from dimse_proxy.observability.audit.codes import Outcome
from dimse_proxy.observability.audit.delivery import Delivery
from dimse_proxy.observability.audit.events import Alert, Events, Node
from dimse_proxy.observability.audit.messages import AuditMessage, AuditSource
from dimse_proxy.observability.audit.observer import AuditObserver, SealCounters
from dimse_proxy.observability.audit.outlets import FileOutlet, Outlet, TlsOutlet, UdpOutlet
from dimse_proxy.observability.audit.rendering import to_json
from dimse_proxy.observability.audit.spool import RunMark, Spool, SpoolError
from dimse_proxy.observability.audit.syslog import SyslogHeader, to_syslog
from dimse_proxy.observability.audit.writer import Writer

LOOK: Final = 1.0
"""Seconds between two looks at what nobody tells by itself."""
TITLES_LIMIT: Final = 16
"""AE titles of this process in each message."""
STORE_BOUND: Final = 2.0
"""Seconds that storing the last messages may take when the process stops."""
SEND_BOUND: Final = 3.0
"""Seconds that sending them may take."""

log: Final = logging.getLogger(__name__)


class AuditTrail:
    """Of one process."""

    def __init__(
        self, settings: Settings, tls: PemFiles | None, *, instance: str, titles: tuple[str, ...], tunnel: SealCounters
    ) -> None:
        """Claims the spool.

        Args:
            settings: of this process, with a target for audit messages.
            tls: certificates for targets with TLS.
            instance: name of this process.
            titles: AE titles that it goes by; the first ones stand in its messages.
            tunnel: its tunnel.

        Raises:
            ConfigError: the spool cannot be used.
        """
        host = socket.gethostname()
        source = AuditSource(source_id=settings.audit_source_id or host, site_id=settings.audit_site_id)
        self._events: Final = Events(
            Node(instance=instance, host=host, titles=titles[:TITLES_LIMIT]), source, _wall_clock
        )
        self._tunnel: Final = tunnel
        self._header: Final = SyslogHeader(host=host, process=str(os.getpid()))
        self._instance: Final = instance
        self._has_file: Final = settings.audit_file is not None
        self._mark: Final = _mark(settings.audit_spool)
        self.deliveries: Final[Sequence[Delivery]] = tuple(self._made_deliveries(settings, tls))
        self.made: Final = Counter[str]()
        """Messages by event."""
        self._writer: Final = Writer(self.deliveries, self._sign_of_life)
        self.observer: Final = AuditObserver(
            self._events,
            self._put,
            clock=time.monotonic,
            wall_clock=_wall_clock,
            nats_uri=settings.nats_servers[0],
            with_contents=settings.audit_content,
        )

    @property
    def contents_unread(self) -> int:
        """Data sets whose patient and study could not be read; only ever grows."""
        return self.observer.contents_unread

    async def __aenter__(self) -> "AuditTrail":
        """Begin to write and send: the process has started."""
        self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write and send the last messages, as far as that can be done soon: the process stops."""
        is_told_to = kind is None or not issubclass(kind, Exception)
        self.observer.stop(None if is_told_to else "a fault in this process")
        await asyncio.to_thread(self._close)

    def _start(self) -> None:
        self._writer.start()
        for delivery in self.deliveries:
            delivery.start()
        if self._mark is not None:
            self._begin(self._mark)
        self._put(self._events.started())
        log.info("audit messages: to %s", ", ".join(delivery.name for delivery in self.deliveries))

    async def run(self) -> None:
        """Look at what nobody tells by itself, until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            self.observer.look(self._tunnel)

    # `reloading.Reloadable`: SIGHUP opens the file again, which may have been moved away.

    def is_there(self) -> bool:
        """There is a file."""
        return self._has_file

    def has_changed(self) -> bool:
        """Nobody asks before SIGHUP."""
        return False

    def read(self) -> None:
        """Nothing is read."""

    def take(self) -> None:
        """Opens it again, and makes connections anew."""
        for delivery in self.deliveries:
            delivery.reopen()
        log.info("the file of audit messages is opened again")

    def keep(self, problems: Sequence[str]) -> None:
        """There are none."""

    def _begin(self, mark: RunMark) -> None:
        if mark.left_behind is not None:
            instance, last_seen = mark.left_behind
            log.warning("the process before this one, %s, did not stop in order", instance)
            self._put(self._events.vanished(instance, last_seen))
        try:
            mark.begin(self._instance)
        except OSError as error:
            log.error("the spool of audit messages cannot be written: %s", error.strerror)

    def _close(self) -> None:
        self._writer.close(STORE_BOUND)
        deadline = time.monotonic() + SEND_BOUND
        for delivery in self.deliveries:
            delivery.give_last_chance(SEND_BOUND)
        for delivery in self.deliveries:
            lost = delivery.close(max(0.0, deadline - time.monotonic()))
            if lost:
                log.error("%d audit messages to %s are lost: they were in memory only", lost, delivery.name)
        if self._mark is not None:
            with suppress(OSError):  # The next process would only say that this one did not stop in order.
                self._mark.clear()

    def _put(self, message: AuditMessage) -> None:
        self.made[message.event.word] += 1
        self._writer.put(message)

    def _sign_of_life(self) -> None:
        if self._mark is not None:
            self._mark.touch()

    def _made_deliveries(self, settings: Settings, tls: PemFiles | None) -> Iterator[Delivery]:
        for target in settings.audit_syslog:
            outlet: Outlet
            if target.is_tls:
                assert tls is not None, "read with the settings"
                outlet = TlsOutlet(str(target), target.host, target.port, tls.context)
            else:
                outlet = UdpOutlet(str(target), target.host, target.port)
            spool = _spool(settings, target.file_name)
            yield self._delivery(outlet, spool, lambda message: to_syslog(message, self._header))
        if settings.audit_file is not None:
            yield self._delivery(FileOutlet(settings.audit_file), None, to_json)

    def _delivery(self, outlet: Outlet, spool: Spool | None, render: Callable[[AuditMessage], bytes]) -> Delivery:
        def troubled(trouble: str | None) -> None:
            if trouble is None:
                log.info("audit messages to %s are spooled again", outlet.name)
            else:
                log.error(
                    "the spool of audit messages to %s cannot be used, so they wait in memory: %s", outlet.name, trouble
                )

        def lost(number: int) -> AuditMessage:
            text = f"{number} audit messages to {outlet.name} are lost: more waited than there is room for"
            return self._events.alert(
                Alert(
                    kind=codes.AUDIT_RECORDING_STOPPED,
                    outcome=Outcome.SERIOUS_FAILURE,
                    subject=outlet.name,
                    subject_type=codes.URI,
                    description=text,
                )
            )

        return Delivery(outlet, Backlog(spool, troubled), render, lost)


def _mark(folder: Path | None) -> RunMark | None:
    if folder is None:
        return None
    try:
        return RunMark(folder)
    except SpoolError as error:
        raise ConfigError([f"DIMSE_AUDIT_SPOOL={folder}: {error}."]) from None


def _spool(settings: Settings, name: str) -> Spool | None:
    folder = settings.audit_spool
    if folder is None:
        return None
    try:
        return Spool(folder / name, settings.audit_spool_size)
    except SpoolError as error:
        raise ConfigError([f"DIMSE_AUDIT_SPOOL={folder}: {name}: {error}."]) from None


def _wall_clock() -> datetime:
    return datetime.now(UTC)
