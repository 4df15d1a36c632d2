"""`dimse-proxy queue`: what store and forward has queued, seen and put right by hand.

The command lines only, so that no other command pays for the rest (`cli.queuebook`).
"""

import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from dimse_proxy.cli.options import EnvFile

if TYPE_CHECKING:
    from dimse_proxy.cli.queuebook.asked import Asked

app: Final = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Look at what store and forward has queued, and put it right."
)

Name = Annotated[
    str, typer.Argument(metavar="ASSOCIATION[/NUMBER]", help="As `list` shows it; any beginning or end of the id.")
]
Study = Annotated[str, typer.Option("--study", metavar="UID", help="Only objects of this study.")]
Calling = Annotated[str, typer.Option("--calling", metavar="AE", help="Only what this AE title has sent.")]
Called = Annotated[str, typer.Option("--called", metavar="AE", help="Only what goes to this AE title.")]
Older = Annotated[str, typer.Option("--older", metavar="AGE", help="Only associations older than 90s, 15m, 3h, 2d.")]
Newer = Annotated[str, typer.Option("--newer", metavar="AGE", help="Only associations younger than that.")]
States = Annotated[
    list[str] | None,
    typer.Option(
        "--state", metavar="STATE", help="waiting, resting, delivering, dead or unreadable; several times for several."
    ),
]
Channel = Annotated[str, typer.Option("--channel", metavar="NAME", help="Only the queues with this channel.")]
Direction = Annotated[
    str, typer.Option("--direction", metavar="out|in", help="Only what is accepted here, or what is delivered here.")
]
Everything = Annotated[bool, typer.Option("--all", help="All of it: needed where nothing else says which.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Limit = Annotated[int, typer.Option("--limit", metavar="NUMBER", min=1, help="Lines to show of each queue.")]


@app.command("list")
def _list(
    name: Name = "",
    env_file: EnvFile = None,
    study: Study = "",
    calling: Calling = "",
    called: Called = "",
    older: Older = "",
    newer: Newer = "",
    state: States = None,
    channel: Channel = "",
    direction: Direction = "",
    objects: Annotated[bool, typer.Option("--objects", help="A line for each object, not each association.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show what is queued, the oldest first."""
    from dimse_proxy.cli.queuebook import flows as book
    from dimse_proxy.cli.queuebook import shown

    asked = _asked(name, study, calling, called, older, newer, state, channel, direction)

    async def work(flows: book.Flows) -> None:
        pages = await shown.listed(flows, objects=objects, limit=limit)
        (shown.write_json if as_json else shown.write_tables)(flows, pages)

    book.with_flows(os.environ, env_file, asked, work)


@app.command("show")
def _show(
    name: Annotated[str, typer.Argument(metavar="ASSOCIATION[/NUMBER]", help="As `list` shows it.")],
    env_file: EnvFile = None,
    channel: Channel = "",
    direction: Direction = "",
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of some objects."""
    from dimse_proxy.cli.queuebook import flows as book
    from dimse_proxy.cli.queuebook import shown

    async def work(flows: book.Flows) -> None:
        pages = await shown.listed(flows, objects=True, limit=limit)
        (shown.write_json if as_json else shown.write_details)(flows, pages)

    asked = _asked(name, channel=channel, direction=direction)
    book.with_flows(os.environ, env_file, asked, work)


@app.command("retry")
def _retry(
    name: Name = "",
    env_file: EnvFile = None,
    study: Study = "",
    calling: Calling = "",
    called: Called = "",
    older: Older = "",
    newer: Newer = "",
    state: States = None,
    channel: Channel = "",
    direction: Direction = "",
    everything: Everything = False,
) -> None:
    """Try dead and resting objects again, at once."""
    from dimse_proxy.cli.queuebook import changed
    from dimse_proxy.cli.queuebook import flows as book

    asked = _asked(name, study, calling, called, older, newer, state, channel, direction, everything)
    _check_choice(asked)
    raise typer.Exit(book.with_flows(os.environ, env_file, asked, changed.retry))


@app.command("move")
def _move(
    to: Annotated[str, typer.Option("--to", metavar="AE", help="AE title to ask for instead, one with a target here.")],
    name: Name = "",
    env_file: EnvFile = None,
    study: Study = "",
    calling: Calling = "",
    called: Called = "",
    older: Older = "",
    newer: Newer = "",
    state: States = None,
    channel: Channel = "",
    direction: Direction = "",
    everything: Everything = False,
) -> None:
    """Deliver objects to another target of this side.

    It must accept their SOP classes and transfer syntaxes: what it does not accept becomes a dead letter again.
    """
    from dimse_proxy.cli.queuebook import changed
    from dimse_proxy.cli.queuebook import flows as book

    asked = _asked(name, study, calling, called, older, newer, state, channel, direction, everything)
    _check_choice(asked)

    async def work(flows: book.Flows) -> int:
        return await changed.move(flows, to.strip(" "))

    raise typer.Exit(book.with_flows(os.environ, env_file, asked, work))


@app.command("purge")
def _purge(
    name: Name = "",
    env_file: EnvFile = None,
    study: Study = "",
    calling: Calling = "",
    called: Called = "",
    older: Older = "",
    newer: Newer = "",
    state: States = None,
    channel: Channel = "",
    direction: Direction = "",
    everything: Everything = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete objects for good, after a question.

    Those that are being delivered are left.
    """
    from dimse_proxy.cli.queuebook import changed
    from dimse_proxy.cli.queuebook import flows as book

    asked = _asked(name, study, calling, called, older, newer, state, channel, direction, everything)
    _check_choice(asked)

    async def work(flows: book.Flows) -> int:
        return await changed.purge(flows, is_confirmed=yes)

    raise typer.Exit(book.with_flows(os.environ, env_file, asked, work))


@app.command("drain")
def _drain(
    env_file: EnvFile = None,
    channel: Channel = "",
    direction: Direction = "",
    timeout: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Watch no longer.")] = 86400.0,
) -> None:
    """Try everything at once, and watch it go.

    Ends when nothing but dead letters is left. With Ctrl-C only the watching ends.
    """
    from dimse_proxy.cli.queuebook import changed
    from dimse_proxy.cli.queuebook import flows as book

    async def work(flows: book.Flows) -> int:
        return await changed.drain(flows, timeout)

    raise typer.Exit(book.with_flows(os.environ, env_file, _asked(channel=channel, direction=direction), work))


def _asked(
    name: str = "",
    study: str = "",
    calling: str = "",
    called: str = "",
    older: str = "",
    newer: str = "",
    state: list[str] | None = None,
    channel: str = "",
    direction: str = "",
    everything: bool = False,
) -> "Asked":
    from dimse_proxy.cli.queuebook.asked import Asked

    return Asked(
        name=name,
        study=study,
        calling=calling,
        called=called,
        older=older,
        newer=newer,
        states=tuple(state or ()),
        channel=channel,
        direction=direction,
        everything=everything,
    )


def _check_choice(asked: "Asked") -> None:
    if not asked.is_choice:
        from dimse_proxy.errors import ConfigError

        raise ConfigError(["which objects? An association, --study, --state... or --all says it."])
