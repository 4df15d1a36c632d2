"""What is written and deleted by hand in a queue, in an order in which nothing is lost wherever it breaks off.

Steps, and nothing else; who does them is in the drivers. Each can be done again.
"""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from dimse_proxy.queueing.listing import Listed, State
from dimse_proxy.queueing.records import Attempt, encode_attempt
from dimse_proxy.queueing.subjects import AssociationKey, Flow, Kind

MOST_NAMED: Final = 1000
"""Associations in one call to try them at once: some 60 KB."""


@dataclass(frozen=True, slots=True)
class Put:
    """Store a message in the stream of records, in the place of the one before."""

    subject: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Purge:
    """Delete the messages of a subject, or of a filter."""

    subject: str
    is_chunk: bool = False
    """It is about the stream of chunks."""


Step: TypeAlias = Put | Purge


def anew(before: Attempt | None, at: float, *, called: str | None = None) -> Attempt:
    """Return the attempt with which an object's tries begin anew.

    It stays one: the object may have been sent before, so that 0111 is success.

    Args:
        before: what there was.
        at: now, or when it was asked for; seconds since 1970.
        called: what it is moved to, as `Codec.hide_title` has it; None for where it goes anyway.
    """
    fresh = Attempt(tries=0, last="asked for again by hand", status=None, at=at, not_before=at, begun=at)
    goes_to = called if called is not None else "" if before is None else before.called
    return replace(fresh, called=goes_to)


def steps_to_retry(
    flow: Flow, key: AssociationKey, number: int, attempt: Attempt, *, is_dead: bool
) -> tuple[Step, ...]:
    """Return how an object is made deliverable again: first how, then that. In between it is as dead as before."""
    put = Put(flow.of_object(Kind.ATTEMPT, key, number), encode_attempt(attempt))
    return (put, Purge(flow.of_object(Kind.DEAD, key, number))) if is_dead else (put,)


def steps_to_purge(flow: Flow, listed: Listed) -> tuple[Step, ...]:
    """Return how an object is deleted: the record first, so that nobody meets an object without its data.

    What is left if it breaks off then is found by the receiver's sweep.
    """
    key, number = listed.key, listed.number
    steps: list[Step] = [Purge(flow.of_object(Kind.RECORD, key, number))]
    if listed.state is State.DEAD:
        steps.append(Purge(flow.of_object(Kind.DEAD, key, number)))
    if listed.is_tried:
        steps.append(Purge(flow.of_object(Kind.ATTEMPT, key, number)))
    return (*steps, Purge(flow.chunks_of(key, number), is_chunk=True))


def steps_to_purge_all(flow: Flow, key: AssociationKey) -> tuple[Step, ...]:
    """Return how all objects of an association are deleted that has ended, in four steps and the same order."""
    kinds = (Kind.RECORD, Kind.DEAD, Kind.ATTEMPT)
    return (*(Purge(flow.every(kind, key)) for kind in kinds), Purge(flow.every(Kind.CHUNK, key), is_chunk=True))


def may_retry(state: State) -> bool:
    """Whether an object's tries can begin anew: what was never tried has nothing to begin anew."""
    return state in (State.DEAD, State.RESTING)


def may_move(state: State) -> bool:
    """Whether an object can be moved: not what may be on its way."""
    return state in (State.DEAD, State.RESTING, State.WAITING)


def may_purge(state: State) -> bool:
    """Whether an object can be deleted: not what may be on its way."""
    return state is not State.DELIVERING
