"""`dimse-proxy routes`: what goes where, where one association would go, and what to register at each AE.

It connects to nothing. Warnings go to standard error.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import typer

from dimse_proxy.cli.options import mistyped_titles
from dimse_proxy.cli.routebook.answers import Json, answers_to, calling_described
from dimse_proxy.cli.routebook.registration import registration
from dimse_proxy.config.contexts import load_both
from dimse_proxy.config.settings import Settings, review_settings
from dimse_proxy.config.values import check_host
from dimse_proxy.errors import ConfigError
from dimse_proxy.parts import policy_of
from dimse_proxy.proxy.callbacks import call_back_troubles
from dimse_proxy.proxy.routes import ANY, STORE_AND_FORWARD, LocalAe, Routes, Target
from dimse_proxy.routing import Routing, routing_of

NOWHERE: Final = 1
"""Exit code when an association would be refused wherever it came from."""


def run(
    *,
    environ: Mapping[str, str],
    env_file: Path | None = None,
    called: str | None = None,
    calling: str | None = None,
    register: bool = False,
    address: str | None = None,
    as_json: bool = False,
) -> int:
    """Print what is asked for.

    Args:
        environ: the process's environment.
        env_file: more settings, which the environment overrides.
        called: say where an association goes that calls this AE title, instead of everything.
        calling: the AE title that calls it.
        register: write what to enter at each AE, as Markdown.
        address: where AEs of this network find this proxy, for that.
        as_json: print JSON instead of a table.

    Returns:
        Exit code: 0, or 1 if what was asked for leads nowhere.

    Raises:
        ConfigError: settings, or routes, are wrong.
    """
    reviewed = review_settings(environ, env_file)
    problems = list(reviewed.problems)
    routing = routing_of(reviewed, problems)
    problems += _mistyped(called=called, calling=calling, register=register, address=address, as_json=as_json)
    if problems or routing is None:
        raise ConfigError(problems)
    settings, routes = reviewed.settings, routing.table
    if register:
        typer.echo(registration(settings, routes, address=address), nl=False)
        return 0
    if called is not None:
        policy = policy_of(settings, routes, *load_both(settings))
        answers = list(answers_to(settings, policy, called.strip(" "), calling and calling.strip(" ")))
        if as_json:
            typer.echo(json.dumps({"called": called, "calling": calling, "answers": answers}, indent=2))
        else:
            _write_answers(answers)
        return 0 if any(answer["goes"] for answer in answers) else NOWHERE
    warnings = list(call_back_troubles(routes))
    if as_json:
        typer.echo(json.dumps(_everything(settings, routing, warnings), indent=2))
        return 0
    _write_tables(settings, routing)
    for warning in warnings:
        typer.echo(f"warning: {warning}.", err=True)
    return 0


def _mistyped(
    *, called: str | None, calling: str | None, register: bool, address: str | None, as_json: bool
) -> Iterator[str]:
    """What is wrong with the options, each by itself and together."""
    yield from mistyped_titles(called=called, calling=calling)
    if calling is not None and called is None:
        yield "--calling says who calls; --called is needed to say whom."
    if register and (called is not None or as_json):
        yield "--register writes Markdown about everything; --called and --json are for the answer without it."
    if address is not None and not register:
        yield "--address is for --register."
    try:
        if address is not None:
            check_host(address)
    except ValueError as error:
        yield f"--address: {error}."


# Everything.


def _everything(settings: Settings, routing: Routing, warnings: list[str]) -> Json:
    routes = routing.table
    return {
        "file": None if routing.path is None else str(routing.path),
        "channel": settings.nats_subject_channel,
        "peer_channels": list(routes.channels),
        "default_channel": routes.default_channel,
        "own_ae_title": routes.own_ae_title or None,
        "local": [
            {
                "called": local.called,
                "channel": local.channel,
                "ask_for": local.ask_for,
                "delivery": local.delivery,
                "requires_target": local.requires_target,
            }
            for local in routes.local_aes
        ],
        "targets": [_target(target) for target in routes.targets],
        "move_aliases": [
            {"asker": entry.asker, "alias": entry.alias, "channel": entry.channel} for entry in routes.move_aliases
        ],
        "warnings": warnings,
    }


def _target(target: Target) -> Json:
    return {
        "asked_for": list(target.asked_for),
        "channels": list(target.channels),
        "ae": target.ae_title,
        "hosts": [str(host) for host in target.hosts],
        "tls": target.has_tls,
        "calling": target.calling,
        "max_associations": target.max_associations or None,
        "connect_timeout_seconds": target.connect_timeout,
    }


def _write_tables(settings: Settings, routing: Routing) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    routes = routing.table
    console = Console() if sys.stdout.isatty() else Console(width=160)

    def table(title: str, head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
        made = Table(
            title=title, title_justify="left", title_style="bold", box=None, header_style="dim", pad_edge=False
        )
        for name in head:
            made.add_column(name, overflow="fold")
        for row in rows:
            made.add_row(*(Text(cell) for cell in row))
        console.print(made if made.row_count else Text.assemble((title, "bold"), "\nnone"))
        console.print()

    where = "no routes file" if routing.path is None else str(routing.path)
    own, peers = settings.nats_subject_channel, ", ".join(routes.channels)
    console.print(Text(f"Channel {own} to {peers}; own AE title {routes.own_ae_title or 'none'}; {where}"))
    console.print()
    table(
        "What AEs of this network call here",
        ("called", "goes to channel", "asks for", "delivery"),
        (
            (_any(local.called), local.channel, local.ask_for or "the called AE title", _delivery(local))
            for local in routes.local_aes
        ),
    )
    table(
        "Move aliases",
        ("alias, called here", "goes to channel", "asks for the asker"),
        ((entry.alias, entry.channel, entry.asker) for entry in routes.move_aliases),
    )
    table(
        "What other channels ask for",
        ("asked for", "from channel", "called", "at", "calling", "limits"),
        (_target_row(routes, target) for target in routes.targets),
    )


def _target_row(routes: Routes, target: Target) -> tuple[str, ...]:
    limit = f"{target.max_associations} associations, " if target.max_associations else ""
    return (
        ", ".join(map(_any, target.asked_for)),
        ", ".join(target.channels),
        target.ae_title or "as asked for",
        ", then ".join(map(str, target.hosts)) + (" (TLS)" if target.has_tls else ""),
        calling_described(routes, target),
        f"{limit}{target.connect_timeout:g} s to connect",
    )


def _any(title: str) -> str:
    return "any other AE title" if title == ANY else title


def _delivery(local: LocalAe) -> str:
    needs = local.delivery == STORE_AND_FORWARD and local.requires_target
    return f"{local.delivery}, while the target is there" if needs else local.delivery


# One association.


def _write_answers(answers: list[Json]) -> None:
    for answer in answers:
        who = "an association" if answer["calling"] is None else answer["calling"]
        verb = "goes to" if answer["goes"] else "is"
        typer.echo(f"From {answer['from']}, {who} calling {answer['called']} {verb} {answer['to']}.")
        if not answer["goes"]:
            continue
        for condition in answer["only_if"]:
            typer.echo(f"  only if {condition}")
        if answer.get("call_back"):
            typer.echo(f"  {answer['call_back']}")
        typer.echo(f"  operations: {answer['operations']}; presentation contexts: {answer['contexts']}")
