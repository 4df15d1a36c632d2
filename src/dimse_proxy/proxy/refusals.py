"""Why one side refuses what the other asks for, as said through the session's ABORT, and the A-ASSOCIATE-RJ it becomes.

The words are part of the wire contract between two proxies; both sides log them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from dimse_proxy.tunnel.events import TunnelCode


class RefusalCode(StrEnum):
    """A short word for each reason, for the wire, logs and metrics."""

    LIMIT = "limit"
    RATE = "rate"
    NOT_ALLOWED = "not-allowed"
    CALLING_NOT_ALLOWED = "calling-not-allowed"
    CALLED_NOT_ALLOWED = "called-not-allowed"
    NO_TARGET = "no-target"
    NO_ROUTE = "no-route"
    NO_CONTEXT = "no-context"
    TARGET_UNREACHABLE = "target-unreachable"
    TARGET_TIMEOUT = "target-timeout"
    TARGET_CLOSED = "target-closed"
    TARGET_REJECTED = "target-rejected"
    SHUTTING_DOWN = "shutting-down"
    NO_ANSWER = "no-answer"
    TUNNEL = "tunnel"
    QUEUE = "queue"


TEMPORARY_CONGESTION: Final = (2, 3, 1)
"""Rejected-transient, presentation related function, temporary congestion (PS3.8 9.3.4)."""
LOCAL_LIMIT_EXCEEDED: Final = (2, 3, 2)
"""Rejected-transient, presentation related function, local limit exceeded (PS3.8 9.3.4)."""
NO_REASON_GIVEN: Final = (1, 1, 1)
"""Rejected-permanent, service-user, no reason given (PS3.8 9.3.4)."""
CALLING_NOT_RECOGNIZED: Final = (1, 1, 3)
"""Rejected-permanent, service-user, calling AE title not recognized (PS3.8 9.3.4)."""
CALLED_NOT_RECOGNIZED: Final = (1, 1, 7)
"""Rejected-permanent, service-user, called AE title not recognized (PS3.8 9.3.4)."""


def answer_of(code: str) -> tuple[int, int, int]:
    """Result, source and reason of the A-ASSOCIATE-RJ for a refusal; anything unknown is temporary congestion."""
    match code:
        case RefusalCode.LIMIT:
            return LOCAL_LIMIT_EXCEEDED
        case RefusalCode.NOT_ALLOWED:
            return NO_REASON_GIVEN
        case RefusalCode.CALLING_NOT_ALLOWED:
            return CALLING_NOT_RECOGNIZED
        case RefusalCode.CALLED_NOT_ALLOWED | RefusalCode.NO_ROUTE:
            return CALLED_NOT_RECOGNIZED
        case _:
            return TEMPORARY_CONGESTION


def tunnel_cause(code: str, channel: str, text: str) -> str:
    """A sentence for people on why the tunnel could not carry an association to `channel`."""
    match code:
        case RefusalCode.QUEUE:
            return f"the queue to channel {channel} cannot be used: {text}"
        case TunnelCode.NO_PEER:
            return f"no proxy is present on channel {channel}"
        case TunnelCode.DISCONNECTED | TunnelCode.DISCONNECTED_TOO_LONG:
            return "this proxy is not connected to NATS"
        case TunnelCode.OPEN_TIMEOUT:
            return f"no proxy on channel {channel} answered"
        case TunnelCode.REFUSED_LIMIT:
            return f"every proxy on channel {channel} has reached its limit of associations (DIMSE_MAX_ASSOCIATIONS)"
        case TunnelCode.GOING_AWAY:
            return f"every proxy on channel {channel} is shutting down"
        case TunnelCode.VERSION_MISMATCH:
            return f"the proxies on channel {channel} speak other versions of the tunnel's protocol"
        case TunnelCode.KEY_MISMATCH:
            return (
                f"the proxies on channel {channel} use another tunnel key (DIMSE_TUNNEL_KEY), or one of the two sides "
                "has none"
            )
        case TunnelCode.PEER_LOST | TunnelCode.PEER_RESTARTED | TunnelCode.RESET:
            return f"the proxy on channel {channel} was lost: {text}"
        case _:
            return f"the tunnel to channel {channel} failed: {text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The detail of a session's ABORT that refuses an association before its answer."""

    code: str
    text: str = ""
    results: Sequence[tuple[int, int]] = field(default=())
    """With `NO_CONTEXT`: presentation context ID and result, for the A-ASSOCIATE-AC that the acceptor side makes."""

    def detail(self) -> dict[str, object]:
        """The JSON of it."""
        detail: dict[str, object] = {"refused": str(self.code), "text": self.text}
        if self.results:
            detail["results"] = [list(pair) for pair in self.results]
        return detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """The detail of a session's ABORT that aborts an association: source and reason of the A-ABORT (PS3.8 9.3.8)."""

    source: int = 2
    reason: int = 0
    text: str = ""

    def detail(self) -> dict[str, object]:
        """The JSON of it."""
        return {"abort": [self.source, self.reason], "text": self.text}


def parse_detail(detail: Mapping[str, object]) -> Refused | Aborted:
    """Reads what the other side said; what cannot be read is an abort by the provider, reason not specified."""
    text = str(detail.get("text", ""))[:500]
    code = detail.get("refused")
    if isinstance(code, str):
        return Refused(code=code[:50], text=text, results=tuple(_pairs(detail.get("results"))))
    for source, reason in _pairs([detail.get("abort")]):
        return Aborted(source=source, reason=reason, text=text)
    return Aborted(text=text)


def _pairs(value: object) -> list[tuple[int, int]]:
    """The pairs of bytes in a JSON list of lists; all else is left out."""
    pairs = []
    for item in value if isinstance(value, list) else []:
        match item:
            case [int(first), int(second)] if 0 <= first <= 255 and 0 <= second <= 255:
                pairs.append((first, second))
    return pairs
