"""What the audit trail is told of store and forward: that transfers went into or came out of a queue, and dead letters.

Loaded only where it is on; the observer of associations knows nothing of `queueing`.
"""

from typing import Final

from dimse_proxy.observability.audit.dead_letters import Original
from dimse_proxy.observability.audit.observer import AuditObserver, host_of
from dimse_proxy.observability.queue_listener import QueueListener
from dimse_proxy.queueing.records import DeadLetter, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey


class QueueAudit(QueueListener):
    """A `queueing.hooks.QueueObserver`."""

    def __init__(self, observer: AuditObserver) -> None:
        """Tell `observer`."""
        self._observer: Final = observer

    def object_queued(self, channel: str, key: AssociationKey, record: QueuedObject) -> None:
        """This proxy and its queue are answerable for the object from now on."""
        session = _session_of(key)
        self._observer.annotate(session, f"taken into the queue for channel {channel}, association {session}")

    def object_delivered(
        self, channel: str, key: AssociationKey, record: QueuedObject, text: str, is_warning: bool
    ) -> None:
        """The target is."""
        session = _session_of(key)
        self._observer.annotate(session, f"delivered from the queue of channel {channel}, association {session}")

    def object_dead(self, channel: str, key: AssociationKey, record: QueuedObject, letter: DeadLetter) -> None:
        """Nobody will be, before somebody looks after it."""
        parties = record.parties
        original = Original(
            session=_session_of(key),
            channel=channel,
            calling=parties.calling,
            called=parties.called,
            host=host_of(parties.peer),
        )
        self._observer.given_up(original, record.study or None, record.sop_class, letter.text)


def _session_of(key: AssociationKey) -> str:
    """Return the name that the association has in logs, which is that of its session at both sides."""
    return key.association[-12:]
