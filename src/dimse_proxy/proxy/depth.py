"""How much waits in a queue, as a value: the meter of store and forward makes it, `observability` shows it.

It is here because what shows it is loaded also where nothing is queued. Nothing here asks anybody.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What one flow held at a moment."""

    waiting: int
    """Objects that are to be delivered; dead letters are not among them."""
    dead: int
    """Dead letters."""
    bytes: int
    """What the chunks take in their stream: of what waits, of dead letters, of uploads under way, of what was delivered
    and is not purged yet."""
    limit: int
    """Bytes that they may take; 0 where the stream has no limit of its own."""
    oldest: float | None
    """When the object that waits longest was accepted, about, seconds since 1970; None when nothing waits."""
    at: float
    """The moment, seconds since 1970."""
