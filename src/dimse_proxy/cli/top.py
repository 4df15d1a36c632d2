"""`dimse-proxy top`: the status page's live view in a terminal, read from a running proxy's API."""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dimse_proxy.config.settings import load_settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.observability.page.words import in_bytes, in_seconds, queue_name, queue_state, under_way, where_to

INTERVAL: Final = 1.0
PATIENCE: Final = 3.0
_ENDED: Final = 8
_NUMBERS: Final = {"no.": 3, "out": 6, "in": 6, "rate": 8, "age": 6, "took": 6}
"""Columns of numbers, and how wide they are at least."""
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"


def run(*, environ: Mapping[str, str], env_file: Path | None = None, url: str | None = None, once: bool = False) -> int:
    """Show what a running proxy does, until it is interrupted.

    Args:
        environ: the process's environment.
        env_file: more settings, which the environment overrides.
        url: of the proxy's HTTP listener; by default the one that the settings tell.
        once: print it once instead.

    Returns:
        Exit code: 0, or 1 if the proxy does not answer.

    Raises:
        ConfigError: settings or `url` are wrong.
    """
    base = (url or _url_of(environ, env_file)).rstrip("/")
    if not base.startswith(("http://", "https://")):
        raise ConfigError([f"--url is {base!r}: http://HOST:PORT is right."])
    console = Console() if sys.stdout.isatty() else Console(width=140)
    try:
        view = _view(base, console.height)
    except OSError as error:
        sys.stderr.write(f"dimse-proxy top: no proxy answers at {base}: {getattr(error, 'reason', error)}\n")
        return 1
    if once or not sys.stdout.isatty():
        console.print(view)
        return 0
    try:
        with Live(view, console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(INTERVAL)
                try:
                    live.update(_view(base, console.height), refresh=True)
                except OSError as error:
                    live.update(Text(f"no proxy answers at {base}: {error}", style="bold red"), refresh=True)
    except KeyboardInterrupt:
        return 0


def _url_of(environ: Mapping[str, str], env_file: Path | None) -> str:
    url = load_settings(environ, env_file).settings.http_url
    if url is None:
        raise ConfigError(["DIMSE_HTTP_PORT is empty: the proxy has no HTTP listener to read from."])
    return url


def _read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - only http and https come here
        return json.load(answer)


def _view(base: str, height: int) -> RenderableType:
    status = _read(f"{base}/api/v1/status")
    associations = _read(f"{base}/api/v1/associations")
    throughput = _read(f"{base}/api/v1/throughput")
    rows = max(3, height - _ENDED - 14)
    return Group(
        _head(status),
        *(Text(f"  {reason}", style="red") for reason in status["reasons"].values()),
        *(Text(f"  {sentence}", style="yellow") for sentence in status.get("degraded", {}).values()),
        *(_queue(queue) for queue in status.get("queues", ())),
        Text(),
        _graph(throughput),
        Text(),
        _live_table(associations["live"], rows),
        Text(),
        _ended_table(associations["ended"][:_ENDED]),
    )


def _head(status: Any) -> RenderableType:
    numbers, nats, target = status["associations"], status["nats"], status["target"]
    usable = sum(1 for peer in status["peers"]["list"] if peer["usable"])
    states = {None: ("not asked yet", "yellow"), True: ("reachable", "green"), False: ("not reachable", "red")}
    word, style = states[target["reachable"]] if target["configured"] else ("none", "dim")
    return Text.assemble(
        ("DIMSE Proxy ", "bold"),
        f"{status['channel']} to {status['peer_channel']}  ",
        ("ready", "bold green") if status["ready"] else ("not ready", "bold red"),
        f"  up {in_seconds(status['uptime'])}\nNATS ",
        ("connected", "green") if nats["connected"] else ("not connected", "red"),
        f" {nats['server']}   peers ",
        (str(usable), "green" if usable else "red"),
        "   target ",
        (f"{word} {target['address']}", style),
        f"\nassociations {numbers['active']}, asked for {numbers['requested']}, refused {numbers['refused']}, "
        f"aborted {numbers['aborted']}   out {in_bytes(status['rate']['out'])}/s   "
        f"in {in_bytes(status['rate']['in'])}/s",
    )


def _queue(queue: Any) -> RenderableType:
    """One line of a queue, and why it does not flow."""
    style = {"unusable": "red", "alarm": "red", "resting": "yellow"}.get(queue["state"], "green")
    words = [] if queue["waiting"] is None else [f"{queue['waiting']} waiting", in_bytes(queue["bytes"])]
    words += [] if queue["oldest"] is None else [f"oldest {in_seconds(queue['oldest'])}"]
    words += [f"{queue['dead']} dead letters"] if queue["dead"] else []
    words += [f"{queue['rate']['objects']:.1f}/s"]
    why = [queue["reason"]] if queue["reason"] else []
    why += [f"{target['called']}: {target['reason']}" for target in queue["targets"] if target["reason"]]
    return Text.assemble(
        f"queue {queue_name(queue)} ",
        (queue_state(queue), style),
        f"  {', '.join(words)}",
        (f"  {'; '.join(why)}" if why else "", "dim"),
    )


def _graph(throughput: Any) -> RenderableType:
    lines = Text()
    for name in ("out", "in"):
        points = throughput[name][-90:]
        top = max([*points, 1.0])
        bars = "".join(_BLOCKS[round(point / top * (len(_BLOCKS) - 1))] for point in points)
        lines.append(f"{name:>3} {bars:>90}  {in_bytes(max(points, default=0))}/s at most\n", style="blue")
    lines.rstrip()
    return lines


def _live_table(live: list[Any], rows: int) -> Table:
    table = _table(f"Live associations ({len(live)})", "no.", "from", "to", "what", "out", "in", "rate", "age")
    for item in sorted(live, key=lambda item: -item["rate"])[:rows]:
        table.add_row(
            str(item["number"]),
            *_ends(item),
            f"{in_bytes(item['rate'])}/s",
            in_seconds(item["age"]),
        )
    return table


def _ended_table(ended: list[Any]) -> Table:
    table = _table("Ended last", "no.", "from", "to", "what", "out", "in", "took", "how")
    for item in ended:
        style = "" if item["cause"] == "released" else "red"
        table.add_row(
            str(item["number"]), *_ends(item), in_seconds(item["duration"]), Text(item["outcome"], style=style)
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, header_style="dim", expand=True)
    for column in columns:
        if column in _NUMBERS:
            table.add_column(column, justify="right", no_wrap=True, min_width=_NUMBERS[column])
        elif column in ("what", "how"):
            table.add_column(column, ratio=2, overflow="fold")  # what is wrong is worth a second line
        else:
            table.add_column(column, ratio=1, no_wrap=True, overflow="ellipsis")
    return table


def _ends(item: Any) -> tuple[Text | str, ...]:
    services = ", ".join(f"{service} {count}" for service, count in item["services"].items())
    now = under_way(item) if item.get("in_progress") else ""
    return (
        Text(f"{item['calling']} {item['peer']}"),
        Text(f"{item['called']} {where_to(item)}"),
        Text("; ".join(filter(None, (services, now)))),
        in_bytes(item["bytes_out"]),
        in_bytes(item["bytes_in"]),
    )
