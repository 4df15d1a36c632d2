"""`dimse-proxy run`: one proxy, until it is told to stop."""

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dimse_proxy.config.contexts import load_both
from dimse_proxy.config.material import Material, load_material
from dimse_proxy.config.settings import Settings, review_settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.observability.log import configure_logging
from dimse_proxy.routing import routing_of
from dimse_proxy.service import Service
from dimse_proxy.service import run as run_loop
from dimse_proxy.supervision import Supervision

if TYPE_CHECKING:
    from dimse_proxy.transports.leaf_node import LeafNode

log: Final = logging.getLogger(__name__)


def run(
    *,
    environ: Mapping[str, str],
    env_file: Path | None = None,
    embedded_nats: str | None = None,
    pid_file: Path | None = None,
) -> None:
    """Runs a proxy until SIGTERM or SIGINT.

    Args:
        environ: the process's environment.
        env_file: more settings, which the environment overrides.
        embedded_nats: `[HOST:]PORT` of a nats-server to start as a child, or None.
        pid_file: file that holds the PID while this process is ready, and that only one process can have.

    Raises:
        ConfigError: settings are wrong.
        TransportError: an address or the PID file cannot be had, or nats-server cannot be started.
    """
    address = None if embedded_nats is None else parse_address(embedded_nats)
    overrides = {} if address is None else _embedded(*address)
    reviewed = review_settings(environ, env_file, overrides)
    problems = list(reviewed.problems)
    if address is not None and reviewed.settings.leaf_store is not None:
        problems.append("--embedded-nats and DIMSE_LEAF_STORE each start a nats-server: one of them is right.")
    try:
        contexts, contexts_in = load_both(reviewed.settings)
    except ConfigError as error:
        problems += error.problems
    routing = routing_of(reviewed, problems)
    if problems or routing is None:
        raise ConfigError(problems)
    material = load_material(
        reviewed.settings, reviewed.variables.origins, has_tls_targets=routing.table.has_tls_targets
    )
    configure_logging(reviewed.settings)
    for warning in reviewed.variables.warnings:
        log.warning("%s", warning)
    supervision = Supervision(environ, pid_file)
    leaf = _leaf_node(reviewed.settings, material)
    service = Service(
        reviewed.settings, material, routing, contexts, contexts_in, reviewed.variables.origins, supervision, leaf
    )

    async def main() -> None:
        async with AsyncExitStack() as stack:
            if leaf is not None:
                stack.push_async_callback(leaf.stop)
                await leaf.start()
            if address is not None:
                from dimse_proxy.transports.embedded_nats import EmbeddedNats

                server = EmbeddedNats(*address)
                await server.start()
                stack.push_async_callback(server.stop)
            await service.run()

    supervision.open()
    try:
        run_loop(main)
    finally:
        supervision.close()


def _leaf_node(settings: Settings, material: Material) -> "LeafNode | None":
    """The nats-server of this process, not started; None where there is to be none."""
    store = settings.leaf_store
    if store is None:
        return None
    from dimse_proxy.config.leaf import leaf_configuration
    from dimse_proxy.transports.leaf_node import LeafNode

    def configuration(token: str) -> str:
        return leaf_configuration(settings, material.secrets, token)

    return LeafNode(store, configuration, min_free=settings.queue_min_free_bytes)


def _embedded(host: str, port: int) -> dict[str, str]:
    """The settings that lead to the embedded nats-server, whatever else is set."""
    where = f"[{host}]" if ":" in host else host
    tls = dict.fromkeys(("DIMSE_NATS_TLS_CA_FILE", "DIMSE_NATS_TLS_CERT_FILE", "DIMSE_NATS_TLS_KEY_FILE"), "")
    return {"DIMSE_NATS_URL": f"nats://{where}:{port}", "DIMSE_NATS_TLS_ENABLED": "false", **tls}


def parse_address(text: str) -> tuple[str, int]:
    """`[HOST:]PORT` of the embedded nats-server; the host is 127.0.0.1 unless it is given.

    Raises:
        ConfigError: it is neither.
    """
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ConfigError([f"--embedded-nats is {text!r}: it must be PORT or HOST:PORT, with a port from 1 to 65535"])
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", int(port)
