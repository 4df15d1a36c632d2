"""`dimse-proxy doctor`: looks at the whole way in order, and says the first thing that is wrong and how to mend it.

What is looked at is in `cli.diagnosis`. It can run beside a running proxy, with the same settings.
"""

import io
import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dimse_proxy.cli.diagnosis import far, nats, near, queue
from dimse_proxy.cli.diagnosis.findings import Finding, Report, Severity
from dimse_proxy.config.settings import ReviewedSettings
from dimse_proxy.endpoints import EndPoints
from dimse_proxy.observability.log import configure_logging
from dimse_proxy.parts import nats_options_of, tcp_options_of, tunnel_of
from dimse_proxy.service import run as run_loop

_WORDS: Final = {Severity.GOOD: "ok", Severity.WARNING: "warning", Severity.ERROR: "error"}
_STYLES: Final = {Severity.GOOD: "green", Severity.WARNING: "yellow", Severity.ERROR: "bold red"}


def run(*, environ: Mapping[str, str], env_file: Path | None = None, as_json: bool = False) -> int:
    """Look at everything and print what was found.

    Args:
        environ: the process's environment.
        env_file: more settings, which the environment overrides.
        as_json: print JSON instead of a table.

    Returns:
        Exit code: 0 if all is well, 1 with warnings only, 2 if something is in the way of associations.
    """
    report = Report()
    reviewed = near.check_settings(report, environ, env_file)
    if reviewed.problems:
        report.skipped.append("everything else: it would look at other settings than those that are meant")
    else:
        configure_logging(reviewed.settings, io.StringIO())  # what is logged is a finding already
        _look(report, reviewed)
    if as_json:
        _write_json(report)
    else:
        _write_table(report)
    return int(report.severity)


def _look(report: Report, reviewed: ReviewedSettings) -> None:
    settings = reviewed.settings
    near.check_folder(report, settings)
    routes = near.check_routes(report, reviewed)
    if routes is None:
        report.skipped.append("everything else: it would look at other routes than those that are meant")
        return
    material = near.check_material(report, reviewed, routes)
    near.check_ports(report, settings)
    if material is None:
        report.skipped.append("NATS and all beyond it: the files that it needs cannot be used")
        return
    instance = f"doctor-{secrets.token_hex(4)}"
    name = f"dimse-proxy {settings.nats_subject_channel} {instance}"
    options = nats_options_of(settings, material.nats, name=name)

    async def main() -> None:
        trial = tunnel_of(settings, routes, instance=f"{instance}-1", accepts=False)
        is_clear = await nats.check_nats(report, settings, options, trial, routes.channels)
        if is_clear:
            for number, asked in enumerate(far.asked_for(routes), start=2):
                tunnel = tunnel_of(settings, routes, instance=f"{instance}-{number}", accepts=False)
                is_one_way = bool(routes.targets)
                await far.check_far_side(report, settings, options, tunnel, asked, is_one_way=is_one_way)
        else:
            report.skipped.append("the other side's proxy and its target: NATS is in the way")
        if is_clear or settings.leaf_store is not None:
            await queue.check_queues(report, settings, material.nats, routes, name=f"{name} queue")
        end_points = EndPoints(settings, material.tls, tcp_options_of(settings))
        await far.check_own_targets(report, settings, routes, end_points.connect)

    run_loop(main)


def _write_json(report: Report) -> None:
    first = report.first
    value = {
        "severity": _WORDS[report.severity],
        "first": None if first is None else _json_of(first),
        "findings": [_json_of(finding) for finding in report.findings],
        "skipped": report.skipped,
    }
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _json_of(finding: Finding) -> dict[str, object]:
    seconds = None if finding.seconds is None else round(finding.seconds, 6)
    return {
        "check": finding.check,
        "severity": _WORDS[finding.severity],
        "text": finding.text,
        "remedy": finding.remedy or None,
        "seconds": seconds,
    }


def _write_table(report: Report) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    table.add_column("ms", justify="right", no_wrap=True)
    for finding in report.findings:
        seconds = "" if finding.seconds is None else f"{finding.seconds * 1000:.1f}"
        word = Text(_WORDS[finding.severity], style=_STYLES[finding.severity])
        table.add_row(Text(finding.check), word, Text(finding.text), seconds)
    for what in report.skipped:
        table.add_row(Text("not looked at"), Text("-"), Text(what), "")
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)
    console.print()
    first = report.first
    if first is None:
        console.print(Text("All is well: an association gets through.", style="green"))
        return
    console.print(Text(f"First: {first.check}: {first.text}", style=_STYLES[first.severity]), soft_wrap=True)
    console.print(Text(f"Mend it: {first.remedy}"), soft_wrap=True)
