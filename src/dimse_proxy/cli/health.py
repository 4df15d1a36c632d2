"""`dimse-proxy health`: asks the proxy that runs with these settings how it is, for a container's health check.

It reads `/healthz` or `/readyz` of its HTTP listener, and answers with the exit code.
"""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from dimse_proxy.config.settings import load_settings
from dimse_proxy.errors import ConfigError

PATIENCE: Final = 3.0
"""Seconds for the answer."""


def run(*, environ: Mapping[str, str], env_file: Path | None, ready: bool) -> int:
    """Asks once.

    Args:
        environ: the process's environment.
        env_file: more settings, which the environment overrides.
        ready: whether to ask for more than life: whether an association would be carried now.

    Returns:
        Exit code: 0 when it is well, 1 when not, or when nobody answers.

    Raises:
        ConfigError: settings are wrong, or there is no HTTP listener.
    """
    base = load_settings(environ, env_file).settings.http_url
    if base is None:
        raise ConfigError(["DIMSE_HTTP_PORT is empty: the proxy has no HTTP listener to ask."])
    url = f"{base}/{'readyz' if ready else 'healthz'}"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own listener
            sys.stdout.write(answer.read().decode(errors="replace").rstrip() + "\n")
    except urllib.error.HTTPError as error:
        with error:
            sys.stderr.write(f"{url}: {error.read().decode(errors='replace').rstrip()}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"no proxy answers at {url}: {getattr(error, 'reason', error)}\n")
        return 1
    return 0
