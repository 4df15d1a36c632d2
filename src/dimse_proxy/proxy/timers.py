"""The time-outs, limits and switches of one association's relay, by name; all that is in seconds is written down here.

Values and names only: what happens when one is over is for the relay to say.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dimse_proxy.upper_layer.reader import MAX_ASSOCIATE_LENGTH

FLUSH_BOUND: Final = 1.5
"""Seconds that an A-ABORT may wait behind bytes which a stalled end point does not take, before a TCP reset; with the
tunnel's own bound for an abort this keeps both legs within 5 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """The named time-outs, seconds; 0 switches one off where it says so."""

    artim: float = 30.0
    open_timeout: float = 60.0
    """Acceptor side: the whole of asking the other side (DIMSE_NATS_REPLY_TIMEOUTSECONDS)."""
    accept_timeout: float = 25.0
    """Requestor side: wait for the target's A-ASSOCIATE-AC."""
    release_timeout: float = 0.0
    """Wait for an A-RELEASE-RP; 0 for as long as it takes."""
    idle_timeout: float = 0.0
    """End an association on which nothing passed for so long; 0 for never."""
    max_associate_length: int = MAX_ASSOCIATE_LENGTH
    """Bytes of the longest A-ASSOCIATE-RQ or -AC that is taken, without its PDU header."""
    reads_contents: bool = False
    """Tell the observer whose data sets pass (DIMSE_AUDIT_CONTENT); else nothing of a data set is looked at."""


class Timer(Enum):
    """A relay's own timers, beside the association's ARTIM."""

    ANSWER = auto()
    RELEASE = auto()
    IDLE = auto()
    FLUSH = auto()
