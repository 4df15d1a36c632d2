"""The log's view of store and forward: what went wrong and what became of it; single objects only at debug.

An object is named by the end of its association's id and its number: a SOP instance UID can identify a patient.
"""

from typing import Final

import structlog

from dimse_proxy.dimse.uids import uid_name
from dimse_proxy.observability.flood import Flood
from dimse_proxy.queueing.records import DeadLetter, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey


class QueueLog:
    """Writes what happens to the queue to the log; a `hooks.QueueObserver`."""

    def __init__(self) -> None:
        self._log: Final[structlog.typing.FilteringBoundLogger] = structlog.get_logger("dimse_proxy")
        self._floods: Final = {kind: Flood() for kind in ("refused", "put-off", "dead", "unreadable", "warning")}

    def queue_ready(self, channel: str, what: str) -> None:
        """See `QueueObserver`."""
        self._log.info("queue ready", channel=channel, what=what)

    def queue_trouble(self, channel: str, text: str) -> None:
        """See `QueueObserver`."""
        self._log.warning("queue cannot be used", channel=channel, cause=text)

    def object_queued(self, channel: str, key: AssociationKey, record: QueuedObject) -> None:
        """See `QueueObserver`."""
        if self._log.is_enabled_for(10):
            self._log.debug(
                "object queued",
                channel=channel,
                session=_short(key),
                number=record.number,
                sop_class=uid_name(record.sop_class),
                bytes=record.length,
            )

    def object_refused(self, channel: str, key: AssociationKey, status: int, text: str) -> None:
        """See `QueueObserver`."""
        self._flooded(
            "refused", "object not queued", channel=channel, session=_short(key), status=f"{status:04X}H", cause=text
        )

    def object_delivered(
        self, channel: str, key: AssociationKey, record: QueuedObject, text: str, is_warning: bool
    ) -> None:
        """See `QueueObserver`."""
        if is_warning:
            self._flooded(
                "warning",
                "object delivered with a warning",
                channel=channel,
                session=_short(key),
                number=record.number,
                status=text,
            )
        elif self._log.is_enabled_for(10):
            self._log.debug("object delivered", channel=channel, session=_short(key), number=record.number, status=text)

    def object_put_off(self, channel: str, key: AssociationKey, number: int, text: str, pause: float) -> None:
        """See `QueueObserver`."""
        self._flooded(
            "put-off",
            "object will be tried again",
            channel=channel,
            session=_short(key),
            number=number,
            cause=text,
            seconds=round(pause, 1),
        )

    def object_dead(self, channel: str, key: AssociationKey, record: QueuedObject, letter: DeadLetter) -> None:
        """See `QueueObserver`."""
        self._flooded(
            "dead",
            "object given up: it stays in the queue as a dead letter",
            channel=channel,
            session=_short(key),
            number=record.number,
            reason=letter.reason,
            cause=letter.text,
        )

    def object_unreadable(self, channel: str, key: AssociationKey, number: int, text: str) -> None:
        """See `QueueObserver`."""
        self._flooded(
            "unreadable",
            "object cannot be read: it stays in the queue",
            channel=channel,
            session=_short(key),
            number=number,
            cause=text,
        )

    def target_rests(self, channel: str, called: str, text: str, pause: float, is_alarm: bool) -> None:
        """See `QueueObserver`."""
        if is_alarm:
            self._log.error(
                "delivery paused: somebody has to change something",
                channel=channel,
                called=called,
                cause=text,
                seconds=round(pause, 1),
            )
        else:
            self._log.warning("delivery rests", channel=channel, called=called, cause=text, seconds=round(pause, 1))

    def target_back(self, channel: str, called: str) -> None:
        """See `QueueObserver`."""
        self._log.info("delivery goes on", channel=channel, called=called)

    def handed_over(self, channel: str, key: AssociationKey, session: str, what: str) -> None:
        """See `QueueObserver`."""
        self._log.info(
            "association goes on through the tunnel", channel=channel, session=_short(key), tunnel=session, cause=what
        )

    def commitment_refused(self, channel: str, calling: str, text: str) -> None:
        """See `QueueObserver`."""
        self._log.warning("storage commitment refused", channel=channel, calling=calling, cause=text)

    def contexts_assumed(self, channel: str, called: str, count: int, text: str) -> None:
        """See `QueueObserver`."""
        self._log.warning(
            "presentation contexts accepted without asking the target: what it refuses becomes a dead letter",
            channel=channel,
            called=called,
            contexts=count,
            cause=text,
        )

    def swept(self, channel: str, text: str) -> None:
        """See `QueueObserver`."""
        self._log.info("queue swept", channel=channel, what=text)

    def _flooded(self, kind: str, event: str, **fields: object) -> None:
        left_out = self._floods[kind].left_out()
        if left_out is not None:
            self._log.warning(event, **fields, left_out=left_out or None)


def _short(key: AssociationKey) -> str:
    return key.association[-12:]
