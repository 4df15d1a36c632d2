"""What an observer is told of the queue: the one seam for logs, metrics and audit. No listener changes anything."""

from dataclasses import dataclass, field
from typing import Protocol

from dimse_proxy.queueing.records import DeadLetter, QueuedObject
from dimse_proxy.queueing.subjects import AssociationKey


class QueueObserver(Protocol):
    """Listens to what happens in store and forward."""

    def queue_ready(self, channel: str, what: str) -> None:
        """The streams of a flow are there and as they must be; `what` says for what."""

    def queue_trouble(self, channel: str, text: str) -> None:
        """The queue cannot be used, or not fully; said again only when the text changes."""

    def object_queued(self, channel: str, key: AssociationKey, record: QueuedObject) -> None:
        """An SCU was told success."""

    def object_refused(self, channel: str, key: AssociationKey, status: int, text: str) -> None:
        """An SCU was told that its object cannot be queued."""

    def object_delivered(
        self, channel: str, key: AssociationKey, record: QueuedObject, text: str, is_warning: bool
    ) -> None:
        """The target has taken an object: the hand-over of who is answerable for it."""

    def object_put_off(self, channel: str, key: AssociationKey, number: int, text: str, pause: float) -> None:
        """An object will be tried again in `pause` seconds."""

    def object_dead(self, channel: str, key: AssociationKey, record: QueuedObject, letter: DeadLetter) -> None:
        """An object is tried no more."""

    def object_unreadable(self, channel: str, key: AssociationKey, number: int, text: str) -> None:
        """An object is left where it is, because it cannot be read."""

    def target_rests(self, channel: str, called: str, text: str, pause: float, is_alarm: bool) -> None:
        """The target is not asked for `pause` seconds; `is_alarm`: not before somebody has changed something."""

    def target_back(self, channel: str, called: str) -> None:
        """The target takes objects again."""

    def handed_over(self, channel: str, key: AssociationKey, session: str, what: str) -> None:
        """An association that was queued goes on through the tunnel, because of a command that is not for the queue."""

    def commitment_refused(self, channel: str, calling: str, text: str) -> None:
        """An AE title asked for storage commitment while objects of it are queued, and was told that this failed."""

    def contexts_assumed(self, channel: str, called: str, count: int, text: str) -> None:
        """Contexts were accepted about which the target was not asked; `text` says why not."""

    def swept(self, channel: str, text: str) -> None:
        """Something was found lying about, and put right."""


@dataclass(slots=True)
class QueueObservers:
    """Passes everything on to several observers, in order."""

    members: list[QueueObserver] = field(default_factory=list)

    def queue_ready(self, channel: str, what: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.queue_ready(channel, what)

    def queue_trouble(self, channel: str, text: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.queue_trouble(channel, text)

    def object_queued(self, channel: str, key: AssociationKey, record: QueuedObject) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.object_queued(channel, key, record)

    def object_refused(self, channel: str, key: AssociationKey, status: int, text: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.object_refused(channel, key, status, text)

    def object_delivered(
        self, channel: str, key: AssociationKey, record: QueuedObject, text: str, is_warning: bool
    ) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.object_delivered(channel, key, record, text, is_warning)

    def object_put_off(self, channel: str, key: AssociationKey, number: int, text: str, pause: float) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.object_put_off(channel, key, number, text, pause)

    def object_dead(self, channel: str, key: AssociationKey, record: QueuedObject, letter: DeadLetter) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.object_dead(channel, key, record, letter)

    def object_unreadable(self, channel: str, key: AssociationKey, number: int, text: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.object_unreadable(channel, key, number, text)

    def target_rests(self, channel: str, called: str, text: str, pause: float, is_alarm: bool) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.target_rests(channel, called, text, pause, is_alarm)

    def target_back(self, channel: str, called: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.target_back(channel, called)

    def handed_over(self, channel: str, key: AssociationKey, session: str, what: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.handed_over(channel, key, session, what)

    def commitment_refused(self, channel: str, calling: str, text: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.commitment_refused(channel, calling, text)

    def contexts_assumed(self, channel: str, called: str, count: int, text: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.contexts_assumed(channel, called, count, text)

    def swept(self, channel: str, text: str) -> None:
        """See `QueueObserver`."""
        for member in self.members:
            member.swept(channel, text)
