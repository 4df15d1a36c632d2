"""`dimse-proxy config`: the effective settings, where each came from, and everything that is wrong with them.

Settings go to standard output, problems and warnings to standard error. It connects to nothing.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import typer

from dimse_proxy.config.contexts import ContextFilter, Service, UidList, load_both
from dimse_proxy.config.material import load_material
from dimse_proxy.config.problems import shown
from dimse_proxy.config.settings import FIELD_OF, SECRETS, ReviewedSettings, review_settings
from dimse_proxy.config.shown import MASK, written
from dimse_proxy.errors import ConfigError
from dimse_proxy.routing import routing_of

_HEAD: Final = ("variable", "value", "from")


def run(*, environ: Mapping[str, str], env_file: Path | None) -> int:
    """Show the settings; return the exit code: 0 when they are right, 1 when not."""
    reviewed = review_settings(environ, env_file)
    problems = list(reviewed.problems)
    folder, folder_in = reviewed.settings.config_path, reviewed.settings.config_path_in
    contexts_lines: list[str] = []
    try:
        contexts, contexts_in = load_both(reviewed.settings)
    except ConfigError as error:
        problems += error.problems
    else:
        contexts_lines = describe_contexts(contexts, folder)
        if folder_in is not None:
            contexts_lines += describe_contexts(contexts_in, folder_in)
    warnings = list(reviewed.variables.warnings)
    routing = routing_of(reviewed, problems)
    if routing is not None:
        try:
            material = load_material(
                reviewed.settings, reviewed.variables.origins, has_tls_targets=routing.table.has_tls_targets
            )
        except ConfigError as error:
            problems += error.problems
        else:
            warnings += material.notes
    _write_table(list(rows_of(reviewed)))
    for line in contexts_lines:
        typer.echo(line)
    if routing is not None and routing.path is not None:
        typer.echo(f"\nRoutes are in {routing.path}; `dimse-proxy routes` shows them.")
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    for problem in problems:
        typer.echo(f"problem: {problem}", err=True)
    return 1 if problems else 0


def rows_of(reviewed: ReviewedSettings) -> list[tuple[str, str, str]]:
    """Return variable, value and origin of every setting; a value that is wrong is shown as it was given."""
    rows = []
    for variable, field in FIELD_OF.items():
        value = written(getattr(reviewed.settings, field))
        origin = str(reviewed.variables.origins[variable])
        if variable in reviewed.wrong:
            given = reviewed.variables.values.get(variable, "")
            value = MASK if variable in SECRETS or "@" in given else shown(given)
            origin += " (wrong)"
        rows.append((variable, value, origin))
    return rows


def describe_contexts(contexts: ContextFilter | None, folder: Path) -> list[str]:
    """Return what the dimse-config folder lets pass, a line for each service."""
    if contexts is None:
        return ["", f"There is no folder {folder}: every presentation context passes."]
    return ["", f"Presentation contexts that pass, from {folder}:"] + [
        f"  {service.value:<7}  {_counted(contexts.sop_classes.get(service), 'SOP classes')}, "
        f"{_counted(contexts.transfer_syntaxes.get(service), 'transfer syntaxes')}"
        for service in Service
    ]


def _counted(listed: UidList | None, what: str) -> str:
    return f"all {what}" if listed is None or listed.every else f"{len(listed.uids)} {what}"


def _write_table(rows: Sequence[tuple[str, str, str]]) -> None:
    if sys.stdout.isatty():
        _write_rich_table(rows)
        return
    widths = [max(len(row[column]) for row in [_HEAD, *rows]) for column in (0, 1)]
    for row in [_HEAD, *rows]:
        typer.echo(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}")


def _write_rich_table(rows: Sequence[tuple[str, str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*_HEAD, box=None, header_style="bold")
    for variable, value, origin in rows:
        style = "red" if origin.endswith("(wrong)") else "dim" if origin == "default" else ""
        table.add_row(Text(variable), Text(value, overflow="fold"), Text(origin, overflow="fold"), style=style)
    Console().print(table)
