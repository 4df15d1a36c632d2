"""`queue retry`, `move`, `purge` and `drain`: what is done by hand, and said of it."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Final

import typer

from dimse_proxy.cli.queuebook.flows import Flows, OneFlow
from dimse_proxy.cli.queuebook.meant import check_one_association, meant, progress
from dimse_proxy.errors import ConfigError, TransportError
from dimse_proxy.observability.page.words import in_bytes, in_seconds
from dimse_proxy.proxy.routes import AskedFor
from dimse_proxy.proxy.store_and_forward.repair import Repair
from dimse_proxy.queueing.listing import Listed, State, Wanted
from dimse_proxy.queueing.repair import may_move, may_purge, may_retry
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble

_POLL: Final = 1.0
"""Seconds between looks at how much is left."""
_NOTHING: Final = "dimse-proxy queue: nothing in the queue fits."


async def retry(flows: Flows) -> int:
    """Let tries begin anew; return the exit code."""
    done = looked_at = 0
    for flow in flows.flows:
        found = await _chosen(flow, flows.wanted)
        looked_at += len(found)
        if not found:
            continue
        todo = sum(may_retry(one.state) for one in found)
        with progress("retrying", todo) as told:
            count = await Repair(flow.reading, is_sender=flow.is_sender, told=told).retry(found)
        done += count
        how = "asked of the other side's proxies" if flow.is_sender else "made deliverable"
        left = _left(found, count, "waits for its first try, or is being delivered")
        typer.echo(f"{flow.name}: {_objects(count)} {how}{left}.")
    return _result(looked_at)


async def move(flows: Flows, called: str) -> int:
    """Let objects go to another AE title; return the exit code."""
    refused = [flow for flow in flows.flows if flow.is_sender]
    usable = [flow for flow in flows.flows if not flow.is_sender]
    for flow in refused:
        text = f"what is {flow.name} is moved there: `dimse-proxy queue move` on channel {flow.channel}."
        typer.echo(text, err=True)
    for flow in usable:
        if flows.routes.way(AskedFor(channel=flow.channel, called=called)) is None:
            text = f"no target is asked for by that from channel {flow.channel} (dimse-proxy routes)"
            raise ConfigError([f"--to is {called!r}: {text}."])
    looked_at = 0
    for flow in usable:
        found = await _chosen(flow, flows.wanted)
        looked_at += len(found)
        todo = [one for one in found if may_move(one.state)]
        with progress("moving", len(todo)) as told:
            count = await Repair(flow.reading, is_sender=False, told=told).move(todo, called) if todo else 0
        if found:
            typer.echo(f"{flow.name}: {_objects(count)} moved to {called}{_left(found, count, 'is being delivered')}.")
    return _result(looked_at)


async def purge(flows: Flows, *, is_confirmed: bool) -> int:
    """Delete objects, if that is confirmed; return the exit code."""
    looked_at = 0
    for flow in flows.flows:
        found = await _chosen(flow, flows.wanted)
        looked_at += len(found)
        todo = [one for one in found if may_purge(one.state)]
        if found and not todo:
            typer.echo(f"{flow.name}: nothing deleted{_left(found, 0, 'is being delivered')}.")
        if not todo:
            continue
        what = await _what(flows, flow, todo)
        question = f"Delete {what}? They will never be delivered."
        # In a thread, because NATS wants to hear of us meanwhile.
        if not is_confirmed and not await asyncio.to_thread(_confirmed, question):
            typer.echo("nothing deleted.")
            return 1
        with progress("deleting", len(todo)) as told:
            count = await Repair(flow.reading, is_sender=flow.is_sender, told=told).purge(todo)
        typer.echo(f"{flow.name}: {_objects(count)} deleted{_left(found, count, 'is being delivered')}.")
    return _result(looked_at)


async def drain(flows: Flows, limit: float) -> int:
    """Have everything tried at once that is not dead, and watch until it is gone; return the exit code."""
    for flow in flows.flows:
        found = [one for one, _ in await meant(flow, Wanted()) if one.state is not State.DEAD]
        if found:
            await Repair(flow.reading, is_sender=flow.is_sender).retry(found)
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    left, dead = await _undelivered(flows)
    total = left
    with progress("delivering", total) as told:
        while left and loop.time() < end:
            await asyncio.sleep(_POLL)
            left, dead = await _undelivered(flows)
            total = max(total, left)
            told(total - left)
    typer.echo(f"{_objects(left)} left to deliver, {dead:,} dead.")
    return 1 if left else 0


async def _undelivered(flows: Flows) -> tuple[int, int]:
    """Return how many objects are to be delivered, and how many are dead."""
    counts = [await flow.reading.undelivered() for flow in flows.flows]
    dead = sum(count for _, count in counts)
    return sum(count for count, _ in counts) - dead, dead


async def _chosen(flow: OneFlow, wanted: Wanted) -> list[Listed]:
    if await flow.reading.totals() is None:
        return []
    found = await meant(flow, wanted)
    check_one_association(flow, wanted, found)
    return [one for one, _ in found]


async def _what(flows: Flows, flow: OneFlow, todo: Sequence[Listed]) -> str:
    """Return number, bytes and age of what is going to be deleted."""
    states = Counter(one.state for one in todo)
    words = ", ".join(f"{states[state]:,} {state}" for state in State if states[state])
    try:
        size = in_bytes(await flow.reading.bytes_of(todo))
    except JetStreamError as error:
        if error.trouble is not Trouble.DENIED:
            raise
        size = "of unknown size, because records may not be read here"
    age = in_seconds(max(0.0, flows.began - todo[0].key.began))
    return f"{_objects(len(todo))} ({words}; {size}; the oldest began {age} ago) {flow.name}"


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError([f"{question} Nobody can be asked here: --yes is needed."])
    return typer.confirm(question)


def _objects(count: int) -> str:
    return f"{count:,} object{'' if count == 1 else 's'}"


def _left(found: Sequence[Listed], count: int, why: str) -> str:
    rest = len(found) - count
    return f"; {rest:,} left as {'it is' if rest == 1 else 'they are'}: each {why}" if rest > 0 else ""


def _result(looked_at: int) -> int:
    if not looked_at:
        raise TransportError(_NOTHING)
    return 0
