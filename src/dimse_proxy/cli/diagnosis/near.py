"""What can be wrong on this machine alone: settings, the dimse-config folder, keys and certificates, ports."""

import errno
import json
import socket
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dimse_proxy.cli.diagnosis.findings import Report
from dimse_proxy.config.contexts import load_both
from dimse_proxy.config.material import Material, load_material
from dimse_proxy.config.settings import ReviewedSettings, Settings, review_settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.proxy.routes import Routes
from dimse_proxy.routing import routing_of

PATIENCE: Final = 2.0
"""Seconds for an answer of this machine's own proxy."""

SETTINGS: Final = "settings"
FOLDER: Final = "dimse-config"
ROUTES: Final = "routes"
KEYS: Final = "keys and certificates"
PORT: Final = "DICOM port"
HTTP_PORT: Final = "HTTP port"


def check_settings(report: Report, environ: Mapping[str, str], env_file: Path | None) -> ReviewedSettings:
    """Look at every setting; what is wrong has its default afterwards."""
    reviewed = review_settings(environ, env_file)
    for problem in reviewed.problems:
        report.error(SETTINGS, problem, "Set it as the sentence says; `dimse-proxy config` shows all of them.")
    for warning in reviewed.variables.warnings:
        report.warning(SETTINGS, warning, "Correct the name, or take it away: it has no effect.")
    if not reviewed.problems:
        report.good(SETTINGS, f"all are right; channel {reviewed.settings.nats_subject_channel}")
    return reviewed


def check_folder(report: Report, settings: Settings) -> None:
    """Look at what filters presentation contexts."""
    try:
        contexts, _ = load_both(settings)
    except ConfigError as error:
        for problem in error.problems:
            report.error(FOLDER, problem, "Correct the file, or point DIMSE_CONFIG_PATH to the right folder.")
        return
    if contexts is None:
        report.good(FOLDER, f"there is no folder {settings.config_path}: every presentation context passes")
    else:
        report.good(FOLDER, f"{settings.config_path} filters presentation contexts")


def check_routes(report: Report, reviewed: ReviewedSettings) -> Routes | None:
    """Look at the routes; None if they cannot be used."""
    problems: list[str] = []
    routing = routing_of(reviewed, problems)
    for problem in problems:
        report.error(ROUTES, problem, "Correct the routes file or the variable; `dimse-proxy routes` shows the result.")
    if routing is None:
        return None
    where = "no routes file" if routing.path is None else str(routing.path)
    table = routing.table
    report.good(ROUTES, f"{where}; to channel {', '.join(table.channels)}, {len(table.targets)} targets here")
    return table


def check_material(report: Report, reviewed: ReviewedSettings, routes: Routes) -> Material | None:
    """Look at the files that settings name; None if they cannot be used."""
    try:
        material = load_material(reviewed.settings, reviewed.variables.origins, has_tls_targets=routes.has_tls_targets)
    except ConfigError as error:
        for problem in error.problems:
            report.error(KEYS, problem, "Put the right file there, or correct its variable, type or password.")
        return None
    for note in material.notes:
        remedy = "Get a new certificate and put it in the key store; a running proxy takes it up by itself."
        if "expired on" in note or "not valid before" in note:
            report.error(KEYS, note, remedy)
        else:
            report.warning(
                KEYS, note, remedy if "expires on" in note else "See the section on TLS in the documentation."
            )
    if not material.notes:
        words = "none are needed" if material.tls is None else "can be read and are valid"
        report.good(KEYS, f"of DICOM connections: {words}")
    return material


def check_ports(report: Report, settings: Settings) -> None:
    """Look whether the proxy could listen, or does already."""
    ports = [settings.port] + ([settings.tls_port] if settings.tls_port is not None else [])
    running = _running_proxy(settings)
    for port in ports:
        trouble = _cannot_listen(settings.host, port)
        if trouble is None:
            report.good(PORT, f"{settings.host}:{port} is free; no proxy listens there now")
        elif trouble.errno == errno.EADDRINUSE and f":{port}" in running:
            report.good(PORT, f"{settings.host}:{port} is that of the proxy which runs here")
        else:
            report.error(
                PORT, f"{settings.host}:{port} cannot be listened on: {trouble.strerror}", _port_remedy(trouble)
            )
    if settings.http_port is None or running:
        return
    trouble = _cannot_listen(settings.http_host, settings.http_port)
    if trouble is not None:
        remedy = "Set DIMSE_HTTP_PORT to a free one, or to nothing."
        text = f"{settings.http_host}:{settings.http_port} cannot be listened on: {trouble.strerror}"
        (report.warning if settings.is_http_optional else report.error)(HTTP_PORT, text, remedy)


def _port_remedy(trouble: OSError) -> str:
    match trouble.errno:
        case errno.EADDRINUSE:
            return (
                "If that is this proxy running, all is well (it can be asked only where DIMSE_HTTP_PORT is on). Else "
                "another program has it: stop that, or choose another DIMSE_PORT."
            )
        case errno.EACCES:
            return "Ports below 1024 need a privilege (CAP_NET_BIND_SERVICE): grant it, or choose another DIMSE_PORT."
        case _:
            return "DIMSE_HOST must be an address of this machine; 0.0.0.0 is all of them."


def _cannot_listen(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def _running_proxy(settings: Settings) -> str:
    """Where the proxy that runs with these settings listens, as it says itself; empty if none does."""
    if settings.http_url is None:
        return ""
    try:
        with urllib.request.urlopen(f"{settings.http_url}/api/v1/status", timeout=PATIENCE) as answer:  # noqa: S310 - http
            status = json.load(answer)
        return str(status["listener"]["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
