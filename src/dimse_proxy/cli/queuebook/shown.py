"""`queue list` and `queue show`: what is in the queues, as tables or as JSON. UIDs and AE titles, no patient's data."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dimse_proxy.cli.queuebook.flows import Flows, OneFlow
from dimse_proxy.cli.queuebook.meant import meant
from dimse_proxy.dimse.uids import uid_name
from dimse_proxy.errors import TransportError
from dimse_proxy.observability.page.words import in_bytes, in_seconds
from dimse_proxy.proxy.store_and_forward.listing import Totals
from dimse_proxy.queueing.listing import Entry, State, Summary
from dimse_proxy.queueing.records import QueuedAssociation
from dimse_proxy.queueing.subjects import AssociationKey, title_of_token
from dimse_proxy.transports.jetstream_link import JetStreamError, Trouble

Json = dict[str, Any]
SHORT: Final = 12
"""Digits of an association's id that tables and logs show: its end."""
_STYLES: Final = {State.DEAD: "red", State.UNREADABLE: "red", State.RESTING: "yellow", State.DELIVERING: "green"}


@dataclass(slots=True, kw_only=True)
class Page:
    """What is shown of one queue."""

    flow: OneFlow
    totals: Totals | None
    counts: Counter[State] = field(default_factory=Counter)
    oldest: float | None = None
    """When the oldest association that is meant began, seconds since 1970."""
    associations: list[Json] = field(default_factory=list)
    objects: list[Json] = field(default_factory=list)
    more: int = 0
    """Associations, or objects, that are meant and not shown."""
    note: str = ""


async def listed(flows: Flows, *, objects: bool, limit: int) -> list[Page]:
    """Return what there is of each queue.

    Raises:
        JetStreamError: it cannot be listed.
    """
    wanted = flows.wanted
    by_object = objects or wanted.needs_records or bool(wanted.number)
    return [await (_objects if by_object else _summaries)(flows, flow, limit) for flow in flows.flows]


async def _summaries(flows: Flows, flow: OneFlow, limit: int) -> Page:
    totals = await flow.reading.totals()
    page = Page(flow=flow, totals=totals)
    if totals is None:
        return page
    found = (await flow.reading.ledger()).summaries(flows.wanted)
    for summary in found:
        page.counts.update(summary.counts)
    page.oldest = found[0].key.began if found else None
    shown = found[:limit]
    page.more = len(found) - len(shown)
    entries: dict[AssociationKey, Any] = {}
    try:
        if shown:
            entries[shown[0].key] = await flow.reading.association(shown[0].key)
            entries |= await flow.reading.associations([summary.key for summary in shown[1:]])
    except JetStreamError as error:
        if error.trouble is not Trouble.DENIED:
            raise
        page.note = f"who was called is not shown: {error}"
    page.associations = [_summary(summary, entries.get(summary.key), flows) for summary in shown]
    return page


def _summary(summary: Summary, entry: object, flows: Flows) -> Json:
    key, is_known = summary.key, isinstance(entry, QueuedAssociation)
    calling, called = None, None
    if isinstance(entry, QueuedAssociation):
        calling, called = entry.parties.calling, entry.parties.called
    elif not flows.settings.tunnel_keys:
        calling = title_of_token(key.asker)
    counts = {state: number for state, number in summary.counts.items() if number}
    return {
        "association": key.association,
        "calling": calling,
        "called": called,
        "began": key.began,
        "objects": summary.objects,
        "states": {str(state): number for state, number in counts.items()},
        "trouble": None if is_known or entry is None else str(entry),
    }


async def _objects(flows: Flows, flow: OneFlow, limit: int) -> Page:
    totals = await flow.reading.totals()
    page = Page(flow=flow, totals=totals)
    if totals is None:
        return page
    wanted = flows.wanted
    if wanted.needs_records:
        found = await meant(flow, wanted)
        page.counts.update(one.state for one, _ in found)
        page.oldest = found[0][0].key.began if found else None
        entries = [entry for _, entry in found[:limit] if entry is not None]
    else:
        # Subjects are enough to count them; read is what is shown.
        ledger = await flow.reading.ledger()
        summaries = ledger.summaries(wanted)
        for summary in summaries:
            page.counts.update(summary.counts)
        page.oldest = summaries[0].key.began if summaries else None
        shown = islice(ledger.objects(wanted), limit)
        entries = [entry async for entry in flow.reading.entries(shown)]
    page.more = max(0, page.counts.total() - limit)
    page.objects = [json_of(entry) for entry in entries]
    return page


def json_of(entry: Entry) -> Json:
    """Return all that is known of an object."""
    record = entry.record
    return {
        "object": f"{entry.key.association}/{entry.number}",
        "state": str(entry.state),
        "calling": None if record is None else record.parties.calling,
        "called": entry.called or None,
        "called_by_the_scu": None if record is None else record.parties.called,
        "peer": None if record is None else record.parties.peer,
        "sop_class": None if record is None else record.sop_class,
        "sop_instance": None if record is None else record.sop_instance,
        "study": None if record is None else record.study or None,
        "transfer_syntax": None if record is None else record.transfer_syntax,
        "bytes": None if record is None else record.length,
        "chunks": None if record is None else record.chunks,
        "accepted": None if record is None else record.accepted,
        "attempt": None
        if entry.attempt is None
        else {name: value for name, value in asdict(entry.attempt).items() if name != "called"},
        "dead": None if entry.dead is None else asdict(entry.dead),
        "trouble": entry.trouble or None,
    }


def write_json(flows: Flows, pages: Iterable[Page]) -> None:
    """Print everything as JSON."""
    queues = [
        {
            "direction": page.flow.direction,
            "channel": page.flow.channel,
            "streams": None if page.totals is None else _streams(page),
            "objects": {str(state): page.counts[state] for state in State if page.counts[state]},
            "oldest_began": page.oldest,
            "associations": page.associations,
            "list": page.objects,
            "more": page.more,
            "note": page.note or None,
        }
        for page in pages
    ]
    sys.stdout.write(json.dumps({"at": flows.began, "queues": queues}, indent=2) + "\n")


def _streams(page: Page) -> Json:
    assert page.totals is not None, "asked for where there are streams"
    flow, totals = page.flow.reading.queue.flow, page.totals
    limit = totals.chunk_limit if totals.chunk_limit > 0 else None
    return {
        "chunks": flow.chunk_stream,
        "records": flow.record_stream,
        "bytes": totals.chunk_bytes,
        "limit": limit,
    }


def write_tables(flows: Flows, pages: Sequence[Page]) -> None:
    """Print everything as tables."""
    console = Console() if sys.stdout.isatty() else Console(width=160)
    for page in pages:
        console.print(Text(f"Queue {page.flow.name}", style="bold"))
        if page.totals is None:
            console.print(Text("  there are no streams yet: nothing was queued"))
        else:
            if page.associations:
                console.print(_association_table(flows, page.associations))
            if page.objects:
                console.print(_object_table(flows, page.objects))
            for line in _foot(flows, page, page.totals):
                console.print(Text(line), soft_wrap=True)
        console.print()
        if page.note:
            typer.echo(page.note, err=True)


def _foot(flows: Flows, page: Page, totals: Totals) -> Iterable[str]:
    total = sum(page.counts.values())
    if page.more:
        what = "associations" if page.associations else "objects"
        yield f"  and {page.more:,} more {what}; --limit shows more"
    if not total:
        yield "  nothing"
    else:
        words = ", ".join(f"{page.counts[state]:,} {state}" for state in State if page.counts[state])
        age = in_seconds(max(0.0, flows.began - (page.oldest or 0.0)))
        yield f"  {total:,} object{'' if total == 1 else 's'}: {words}; the oldest association began {age} ago"
    limit = f" of {in_bytes(totals.chunk_limit)}" if totals.chunk_limit > 0 else ""
    yield f"  {in_bytes(totals.chunk_bytes)}{limit} stored in all"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=True)
    numbers = ("objects", "waiting", "resting", "delivering", "dead", "bytes", "age", "tries")
    for column in columns:
        if column in numbers:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold", no_wrap=column in ("association", "object"))
    return table


def _association_table(flows: Flows, associations: Iterable[Json]) -> Table:
    states = (State.WAITING, State.RESTING, State.DELIVERING, State.DEAD)
    table = _table("association", "from", "to", "objects", *map(str, states), "age")
    for one in associations:
        called = one["called"] or ("unreadable" if one["trouble"] else "?")
        table.add_row(
            Text(one["association"][-SHORT:]),
            Text(_plain(one["calling"] or "?")),
            Text(_plain(called), style="red" if one["trouble"] else ""),
            f"{one['objects']:,}",
            *(_number(one["states"].get(state, 0), state) for state in states),
            in_seconds(max(0.0, flows.began - one["began"])),
        )
    return table


def _number(number: int, state: State) -> Text:
    return Text(f"{number:,}" if number else "-", style=_STYLES.get(state, "") if number else "dim")


def _object_table(flows: Flows, objects: Iterable[Json]) -> Table:
    table = _table("object", "state", "from", "to", "what", "bytes", "age", "tries", "last word")
    for one in objects:
        association, _, number = one["object"].partition("/")
        tried, dead = one["attempt"] or {}, one["dead"] or {}
        table.add_row(
            Text(f"{association[-SHORT:]}/{number}"),
            Text(one["state"], style=_STYLES.get(State(one["state"]), "")),
            Text(_plain(one["calling"] or "?")),
            Text(_plain(one["called"] or "?")),
            Text(_plain(uid_name(one["sop_class"])) if one["sop_class"] else ""),
            "" if one["bytes"] is None else in_bytes(one["bytes"]),
            "" if one["accepted"] is None else in_seconds(max(0.0, flows.began - one["accepted"])),
            str(dead.get("tries", tried.get("tries", 0))),
            Text(_plain(one["trouble"] or dead.get("text") or tried.get("last") or "")),
        )
    return table


def _plain(text: str) -> str:
    """Return what a peer, or a record, says without what would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def write_details(flows: Flows, pages: Sequence[Page]) -> int:
    """Print all that is known of a few objects; return the exit code."""
    found = 0
    for page in pages:
        for one in page.objects:
            found += 1
            typer.echo(f"{one['object']}  (queue {page.flow.name})")
            for name, value in _details(flows, one):
                typer.echo(f"  {name:<16} {_plain(value)}")
        if page.more:
            typer.echo(f"and {page.more:,} more; --limit shows more")
    if not found:
        raise TransportError("dimse-proxy queue: nothing in the queue fits.")
    return 0


def _details(flows: Flows, one: Json) -> Iterable[tuple[str, str]]:
    yield "state", one["state"]
    if one["trouble"]:
        yield "cannot be read", one["trouble"]
    if one["calling"] is not None:
        yield "from", f"{one['calling']} at {one['peer']}"
        moved = one["called"] is not None and one["called"] != one["called_by_the_scu"]
        yield "to", f"{one['called']}, moved by hand from {one['called_by_the_scu']}" if moved else str(one["called"])
        yield "SOP class", f"{one['sop_class']} ({uid_name(one['sop_class'])})"
        yield "SOP instance", one["sop_instance"]
        yield "study", one["study"] or "not known"
        yield "transfer syntax", f"{one['transfer_syntax']} ({uid_name(one['transfer_syntax'])})"
        yield "data set", f"{one['bytes']:,} bytes in {one['chunks']} chunks"
        yield "accepted", f"{in_seconds(max(0.0, flows.began - one['accepted']))} ago"
    if (tried := one["attempt"]) is not None:
        yield "tries", f"{tried['tries']}, the last one {in_seconds(max(0.0, flows.began - tried['at']))} ago"
        yield "last word", tried["last"]
        pause = tried["not_before"] - flows.began
        if one["state"] == State.RESTING:
            yield "next try", f"in {in_seconds(pause)}, or when its target is there" if pause > 0 else "is due"
    if (dead := one["dead"]) is not None:
        ago = in_seconds(max(0.0, flows.began - dead["at"]))
        yield "given up", f"{ago} ago, {dead['reason']}: {dead['text']}"
