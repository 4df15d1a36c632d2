"""Which objects of a queue are meant, found; and the count of those that were looked at, where that takes a while."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dimse_proxy.cli.queuebook.flows import OneFlow
from dimse_proxy.errors import TransportError
from dimse_proxy.queueing.listing import Entry, Listed, Wanted


async def meant(flow: OneFlow, wanted: Wanted) -> list[tuple[Listed, Entry | None]]:
    """Return the objects that are meant, the oldest association first.

    Raises:
        JetStreamError: they cannot be read.
    """
    ledger = await flow.reading.ledger()
    with progress("reading records", sum(map(len, ledger.records.values()))) as told:
        return await flow.reading.wanted(ledger, wanted, told)


def check_one_association(flow: OneFlow, wanted: Wanted, found: list[tuple[Listed, Entry | None]]) -> None:
    """See that the name of an association is that of one only.

    Raises:
        TransportError: it is not.
    """
    keys = {one.key.association for one, _ in found}
    if wanted.association and len(keys) > 1:
        names = ", ".join(sorted(keys)[:5])
        raise TransportError(
            f"dimse-proxy queue: {wanted.association} is the name of {len(keys)} associations {flow.name}: {names}"
        )


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal; give the number that is done to what it gives."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
