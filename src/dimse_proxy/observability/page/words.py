"""Numbers as people read them: bytes, seconds, times. Used by the page and by `dimse-proxy top`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

NOTABLE_WAIT: Final = 2.0
"""Seconds of waiting for a response that are worth a word."""

STILL: Final = 0.005
"""Objects a second below which a queue does not move: about a minute since the last one."""

_QUEUE_STATES: Final = {
    "unusable": "cannot be used",
    "alarm": "needs somebody",
    "resting": "target rests",
    "empty": "empty",
    "unknown": "not looked at yet",
}
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")


def in_bytes(count: float) -> str:
    """Return `0 B`, `512 kB`, `1.5 MB`: powers of 1000."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 1 if unit and value < 99.95 else 0
    return f"{value:.{digits}f} {_UNITS[unit]}"


def in_seconds(seconds: float) -> str:
    """Return `0.4 ms`, `35 ms`, `2.1 s`, `3 min 20 s`, `5 h 12 min`, `3 d 4 h`."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def where_to(item: Mapping[str, Any]) -> str:
    """Return where an association of the API goes: the target, or what is known of it at the side that asked."""
    if item["side"] == "acceptor":
        return f"channel {item['channel']}" if item["target"] == item["channel"] != "" else item["target"]
    return str(item["target"])


def under_way(live: Mapping[str, Any]) -> str:
    """Return what a live association of the API does right now: `C-STORE under way`, and whom it waits for if long."""
    request = live["in_progress"]
    if request is None:
        return ""
    if not request["whole"]:
        return f"{request['service']} under way"
    if request["seconds"] < NOTABLE_WAIT:
        return ""
    end_point = live["calling"] if live["side"] == "acceptor" else live["target"]
    who = end_point if request["waits_for"] == "end point" else "the other side"
    return f"no answer to {request['service']} {request['message_id']} from {who} for {in_seconds(request['seconds'])}"


def queue_name(queue: Mapping[str, Any]) -> str:
    """Return which queue of the API it is: `to channel B`, `from channel A`."""
    return f"{'to' if queue['direction'] == 'out' else 'from'} channel {queue['channel']}"


def queue_state(queue: Mapping[str, Any]) -> str:
    """Return the state of a queue of the API in a few words."""
    return _QUEUE_STATES[queue["state"]] if queue["state"] != "waiting" else _moves(queue)


def _moves(queue: Mapping[str, Any]) -> str:
    if queue["direction"] == "out":
        return "takes objects"  # Whether they are delivered is known at the other side.
    return "flows" if queue["rate"]["objects"] >= STILL else "waiting"


def in_time(moment: datetime) -> str:
    """Return the time of the day, with the date before it when that is not today."""
    today = datetime.now(moment.tzinfo).date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M:%S")
