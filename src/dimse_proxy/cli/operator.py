"""`dimse-proxy operator`: makes DimseProxy resources of a Kubernetes cluster real, until it is told to stop."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import typer

from dimse_proxy.config.contexts import load_contexts
from dimse_proxy.config.settings import review_settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.observability.log import configure_logging

_LARGEST_FOLDER: Final = 900_000
"""Bytes: a ConfigMap holds 1 MiB, names and all."""


def run(
    *,
    environ: Mapping[str, str],
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    image: str,
    health_port: int | None,
) -> int:
    """Run the operator until SIGTERM or SIGINT.

    Args:
        environ: the process's environment, for the dimse-config folder and the log.
        namespaces: to serve; empty for the operator's own.
        all_namespaces: serve all.
        image: for the pods of a resource that names none.
        health_port: where it answers that it is alive, or None.

    Returns:
        Exit code: 0 when it was told to stop, 1 when it must not go on.

    Raises:
        ConfigError: settings are wrong, or there is no access to a cluster.
    """
    try:
        from dimse_proxy.kubernetes.operator import LeaseLost, Options
        from dimse_proxy.kubernetes.operator import run as serve
    except ImportError as error:
        raise ConfigError(
            [f"The operator needs what `pip install 'dimse-proxy[kubernetes]'` installs: {error}."]
        ) from None
    if namespaces and all_namespaces:
        raise ConfigError(["--namespace and --all-namespaces are given together: one of them is right."])
    settings = review_settings(environ, None).settings
    options = Options(
        image=image,
        config_files=config_files(settings.config_path),
        namespaces=namespaces,
        is_cluster_wide=all_namespaces,
        health_port=health_port,
    )
    configure_logging(settings)
    for name in ("kopf.objects", "kopf.activities"):
        if settings.log_level != "DEBUG":
            logging.getLogger(name).setLevel(logging.WARNING)  # they have a line for each event of a watch
    try:
        asyncio.run(serve(options))
    except LeaseLost as error:
        typer.echo(str(error), err=True)
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    return 0


def config_files(folder: Path) -> dict[str, str]:
    """Read the dimse-config folder that proxies get whose resource names none.

    Raises:
        ConfigError: there is none, or it cannot be used.
    """
    if load_contexts(folder) is None:
        raise ConfigError([f"DIMSE_CONFIG_PATH={folder}: there is no such folder, and the proxies need its files."])
    files = {path.name: path.read_text(encoding="utf-8-sig") for path in sorted(folder.iterdir()) if path.is_file()}
    if sum(len(text.encode()) for text in files.values()) > _LARGEST_FOLDER:
        raise ConfigError([f"DIMSE_CONFIG_PATH={folder}: its files do not fit into a ConfigMap."])
    return files
