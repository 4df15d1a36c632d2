"""What a subscriber of `queueing.hooks` starts from: it hears everything, and does nothing."""

from dimse_proxy.queueing.records import DeadLetter, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey


class QueueListener:
    """Implements `queueing.hooks.QueueObserver`."""

    def queue_ready(self, channel: str, what: str) -> None:
        """See `QueueObserver`."""

    def queue_trouble(self, channel: str, text: str) -> None:
        """See `QueueObserver`."""

    def object_queued(self, channel: str, key: AssociationKey, record: QueuedObject) -> None:
        """See `QueueObserver`."""

    def object_refused(self, channel: str, key: AssociationKey, status: int, text: str) -> None:
        """See `QueueObserver`."""

    def object_delivered(
        self, channel: str, key: AssociationKey, record: QueuedObject, text: str, is_warning: bool
    ) -> None:
        """See `QueueObserver`."""

    def object_put_off(self, channel: str, key: AssociationKey, number: int, text: str, pause: float) -> None:
        """See `QueueObserver`."""

    def object_dead(self, channel: str, key: AssociationKey, record: QueuedObject, letter: DeadLetter) -> None:
        """See `QueueObserver`."""

    def object_unreadable(self, channel: str, key: AssociationKey, number: int, text: str) -> None:
        """See `QueueObserver`."""

    def target_rests(self, channel: str, called: str, text: str, pause: float, is_alarm: bool) -> None:
        """See `QueueObserver`."""

    def target_back(self, channel: str, called: str) -> None:
        """See `QueueObserver`."""

    def handed_over(self, channel: str, key: AssociationKey, session: str, what: str) -> None:
        """See `QueueObserver`."""

    def commitment_refused(self, channel: str, calling: str, text: str) -> None:
        """See `QueueObserver`."""

    def contexts_assumed(self, channel: str, called: str, count: int, text: str) -> None:
        """See `QueueObserver`."""

    def swept(self, channel: str, text: str) -> None:
        """See `QueueObserver`."""
