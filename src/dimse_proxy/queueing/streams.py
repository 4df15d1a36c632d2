"""How the two streams of a flow must be set up, and what is wrong with those that are there.

Sentences and values only; who asks JetStream is in the drivers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dimse_proxy.queueing.claims import LEASE_TIME
from dimse_proxy.queueing.subjects import CONSUMER, Flow, Kind

_NANOSECONDS: Final = 1_000_000_000
_LEAST_RECORD_BYTES: Final = 64 * 1024 * 1024
_RECORD_SHARE: Final = 8
"""The stream of records may grow to this part of that of chunks: a record takes about 1 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPlan:
    """One stream as it should be."""

    name: str
    config: Mapping[str, Any]
    """Of `$JS.API.STREAM.CREATE`."""


def planned_streams(flow: Flow, *, max_bytes: int, replicas: int) -> tuple[StreamPlan, StreamPlan]:
    """Return the streams of chunks and of records.

    Args:
        flow: whose.
        max_bytes: of the chunks.
        replicas: of each stream.
    """
    chunks = _config(flow.chunk_stream, flow.chunk_subjects, "limits", max_bytes, replicas)
    record_bytes = max(_LEAST_RECORD_BYTES, max_bytes // _RECORD_SHARE)
    records = _config(flow.record_stream, flow.record_subjects, "workqueue", record_bytes, replicas)
    return StreamPlan(name=flow.chunk_stream, config=chunks), StreamPlan(name=flow.record_stream, config=records)


def _config(name: str, subjects: Sequence[str], retention: str, max_bytes: int, replicas: int) -> dict[str, Any]:
    return {
        "name": name,
        "description": "DIMSE Proxy, store and forward",
        "subjects": list(subjects),
        "retention": retention,
        "storage": "file",
        "discard": "new",
        "max_bytes": max_bytes,
        "max_age": 0,
        "max_msgs_per_subject": 1,
        "num_replicas": replicas,
        "allow_direct": True,
    }


def planned_consumer(flow: Flow) -> dict[str, Any]:
    """Return the durable consumer of the work list, for `$JS.API.CONSUMER.CREATE`."""
    return {
        "name": CONSUMER,
        "durable_name": CONSUMER,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "filter_subject": flow.every(Kind.WORK),
        "ack_wait": int(LEASE_TIME) * _NANOSECONDS,
        "max_deliver": -1,
        "max_ack_pending": -1,
    }


def wrong_settings(plan: StreamPlan, found: Mapping[str, Any], *, largest_message: int) -> list[str]:
    """Return what would lose or refuse objects in a stream that is there; how large it may grow is for its owner.

    Args:
        plan: as it should be.
        found: its configuration.
        largest_message: bytes that are going to be stored in it.
    """
    wrong = []
    for setting in ("retention", "storage", "discard", "max_age", "max_msgs_per_subject", "allow_direct"):
        is_there = found.get(setting, 0 if setting == "max_age" else None)
        if is_there != plan.config[setting]:
            wrong.append(f"{setting} is {_shown(is_there)} and must be {_shown(plan.config[setting])}")
    missing = [subject for subject in plan.config["subjects"] if subject not in found.get("subjects", ())]
    if missing:
        wrong.append(f"it does not store {', '.join(missing)}")
    for setting in ("sealed", "deny_delete", "deny_purge", "no_ack"):
        if found.get(setting):
            wrong.append(f"{setting} is set and must not be")
    if 0 < found.get("max_msg_size", -1) < largest_message:
        wrong.append(f"max_msg_size is {found['max_msg_size']} and must be {largest_message} at least")
    if found.get("max_msgs", -1) > 0:
        wrong.append(f"max_msgs is {found['max_msgs']} and must not be set")
    return wrong


def _shown(value: object) -> str:
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
