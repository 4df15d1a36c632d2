"""`dimse-proxy echo`: a C-ECHO from this side to the far target, with the time of each hop."""

import asyncio
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dimse_proxy.cli.options import mistyped_titles
from dimse_proxy.config.nats_access import NatsAccess
from dimse_proxy.config.secret_files import Secrets
from dimse_proxy.config.settings import load_settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.observability.log import configure_logging
from dimse_proxy.parts import nats_options_of, tunnel_of
from dimse_proxy.proxy.echo import EchoError, EchoProbe
from dimse_proxy.proxy.routes import AskedFor, Routes
from dimse_proxy.routing import Routing
from dimse_proxy.service import run as run_loop


def run(
    *,
    environ: Mapping[str, str],
    env_file: Path | None = None,
    called: str | None = None,
    calling: str | None = None,
    channel: str | None = None,
) -> int:
    """Goes the whole way once and prints each hop.

    Args:
        environ: the process's environment.
        env_file: more settings, which the environment overrides.
        called: the AE title that an AE of this network would call; this proxy's own by default.
        calling: the AE title of that AE; this proxy's own by default.
        channel: the one to go to, and to ask for `called` as it is; by default where the routes lead.

    Returns:
        Exit code: 0 if the target answered with success, 1 if not.

    Raises:
        ConfigError: settings, or the titles, are wrong.
    """
    if problems := list(mistyped_titles(called=called, calling=calling)):
        raise ConfigError(problems)
    loaded = load_settings(environ, env_file, {})
    settings = loaded.settings
    access = NatsAccess(settings, Secrets(settings, loaded.origins))
    access.check()
    configure_logging(settings.model_copy(update={"log_level": "ERROR"}))
    own = settings.own_ae_title or "DIMSEPROXY"
    routes = Routing(settings).table
    asked = ask_for(routes, called or own, channel)
    instance = f"echo-{secrets.token_hex(4)}"
    probe = EchoProbe(
        tunnel=tunnel_of(settings, routes, instance=instance, accepts=False),
        options=nats_options_of(settings, access, name=f"dimse-proxy {settings.nats_subject_channel} {instance}"),
        called=asked.called,
        calling=calling or own,
        timeout=settings.nats_reply_timeout,
    )
    failure = ""

    async def main() -> None:
        nonlocal failure
        try:
            await probe.run(asked.channel)
        except EchoError as error:
            failure = str(error)

    try:
        run_loop(main)
    except (KeyboardInterrupt, asyncio.CancelledError):
        failure = "interrupted"
    table = Table(title=f"C-ECHO from channel {settings.nats_subject_channel} to the target of {asked.channel}")
    table.add_column("hop")
    table.add_column("milliseconds", justify="right")
    table.add_column("")
    for hop in probe.hops:
        table.add_row(hop.name, f"{hop.seconds * 1000:.1f}", hop.detail)
    Console().print(table)
    if failure:
        sys.stderr.write(f"dimse-proxy echo: {failure}\n")
        return 1
    return 0


def ask_for(routes: Routes, called: str, channel: str | None) -> AskedFor:
    """What to ask for, and where; a title without a route is asked for at the channel that takes what names none.

    Raises:
        ConfigError: the command line does not say where.
    """
    if channel is not None and channel not in routes.channels:
        raise ConfigError([f"--channel is {channel!r}: this proxy talks to {', '.join(routes.channels)}"])
    asked = routes.project(called) if channel is None else None
    where = channel or routes.default_channel
    if asked is None and where is None:
        raise ConfigError([f"no route leads from AE title {called!r}: --called with another, or --channel is needed"])
    return asked or AskedFor(channel=where or "", called=called)
