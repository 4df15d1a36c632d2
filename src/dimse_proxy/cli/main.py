"""The `dimse-proxy` command: reads the command line and hands over to the module of the subcommand.

Each of them is imported when it is asked for, so that one command does not pay for the imports of another. Nothing
here does work of its own.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from dimse_proxy import __version__
from dimse_proxy.cli import queue
from dimse_proxy.cli.options import EnvFile
from dimse_proxy.errors import ConfigError, TransportError

EXIT_CONFIG: Final = 2
"""Exit code when a setting is wrong, as for a wrong command line."""

EXIT_FAILED: Final = 1
"""Exit code when the settings are right and what was asked for failed all the same."""

app: Final = typer.Typer(
    name="dimse-proxy",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def run() -> None:
    """Start the command: the console script."""
    try:
        app()
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(EXIT_CONFIG)
    except TransportError as error:
        typer.echo(str(error), err=True)
        sys.exit(EXIT_FAILED)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dimse-proxy {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Carries DICOM associations between two networks over NATS."""


@app.command("run")
def _run(
    env_file: EnvFile = None,
    embedded_nats: Annotated[
        str | None,
        typer.Option(
            "--embedded-nats",
            metavar="[HOST:]PORT",
            help="Start a NATS server here as well, and connect to it. For trials: it asks for no credential.",
        ),
    ] = None,
    pid_file: Annotated[
        Path | None,
        typer.Option(
            "--pid-file",
            metavar="FILE",
            help="Hold the PID in this file while ready; refuse to run when another proxy has it.",
        ),
    ] = None,
) -> None:
    """Run a proxy until SIGTERM or SIGINT; all settings are DIMSE_* variables."""
    from dimse_proxy.cli import run as command

    command.run(environ=os.environ, env_file=env_file, embedded_nats=embedded_nats, pid_file=pid_file)


@app.command("config")
def _config(env_file: EnvFile = None) -> None:
    """Show the effective settings and where each came from; exit 1 with every problem if any is wrong."""
    from dimse_proxy.cli import config as command

    raise typer.Exit(command.run(environ=os.environ, env_file=env_file))


@app.command("echo")
def _echo(
    env_file: EnvFile = None,
    called: Annotated[
        str | None,
        typer.Option("--called", metavar="AE", help="AE title to ask the other side for; the own by default."),
    ] = None,
    calling: Annotated[
        str | None,
        typer.Option("--calling", metavar="AE", help="AE title to ask as, such as a modality's; the own by default."),
    ] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", help="Channel to go to; by default where the routes lead.")
    ] = None,
) -> None:
    """Send a C-ECHO from this side to the target of the other side, with the time of each hop."""
    from dimse_proxy.cli import echo as command

    code = command.run(environ=os.environ, env_file=env_file, called=called, calling=calling, channel=channel)
    raise typer.Exit(code)


@app.command("routes")
def _routes(
    env_file: EnvFile = None,
    called: Annotated[
        str | None,
        typer.Option("--called", metavar="AE", help="Say where an association that calls this AE title goes."),
    ] = None,
    calling: Annotated[
        str | None, typer.Option("--calling", metavar="AE", help="With --called: the AE title that calls it.")
    ] = None,
    register: Annotated[
        bool, typer.Option("--register", help="Write what to enter in each PACS and modality, as Markdown.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST", help="With --register: where AEs of this network find this proxy."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show what goes where, answer where an association would go, and write what to register at each AE."""
    from dimse_proxy.cli import routes as command

    raise typer.Exit(
        command.run(
            environ=os.environ,
            env_file=env_file,
            called=called,
            calling=calling,
            register=register,
            address=address,
            as_json=as_json,
        )
    )


@app.command("doctor")
def _doctor(
    env_file: EnvFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Check the whole way in order; name the first thing that is wrong, and how to mend it."""
    from dimse_proxy.cli import doctor as command

    raise typer.Exit(command.run(environ=os.environ, env_file=env_file, as_json=as_json))


@app.command("top")
def _top(
    env_file: EnvFile = None,
    url: Annotated[
        str | None, typer.Option("--url", help="HTTP listener of the proxy; by default that of the settings.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print it once.")] = False,
) -> None:
    """Show what a running proxy does, live."""
    from dimse_proxy.cli import top as command

    raise typer.Exit(command.run(environ=os.environ, env_file=env_file, url=url, once=once))


@app.command("health")
def _health(
    env_file: EnvFile = None,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask whether an association would be carried now, not only for life.")
    ] = False,
) -> None:
    """Ask the proxy that runs with these settings whether it is well; exit 1 when not."""
    from dimse_proxy.cli import health as command

    raise typer.Exit(command.run(environ=os.environ, env_file=env_file, ready=ready))


app.add_typer(queue.app, name="queue")


@app.command("demo")
def _demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up afterwards, for tools of your own.")] = False,
) -> None:
    """Store, find and retrieve DICOM files through a pair of proxies on this machine."""
    from dimse_proxy.cli import demo as command

    raise typer.Exit(command.run(keep=keep))


@app.command("operator")
def _operator(
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace", metavar="NAME", help="Namespace to serve, several times for several; else the own."
        ),
    ] = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", help="Serve all namespaces.")] = False,
    image: Annotated[
        str, typer.Option("--image", metavar="IMAGE", help="Image of the proxies whose resource names none.")
    ] = f"dimse-proxy:{__version__}",
    health_port: Annotated[
        int | None, typer.Option("--health-port", metavar="PORT", min=1, max=65535, help="Answer there while alive.")
    ] = None,
) -> None:
    """Run the Kubernetes operator: DimseProxy resources become running proxies."""
    from dimse_proxy.cli import operator as command

    code = command.run(
        environ=os.environ,
        namespaces=tuple(namespace or ()),
        all_namespaces=all_namespaces,
        image=image,
        health_port=health_port,
    )
    raise typer.Exit(code)
