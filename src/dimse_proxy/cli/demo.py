"""`dimse-proxy demo`: real DICOM files through a pair of proxies on this machine, and back.

This module only sees to it that what the demonstration needs is installed; `cli.demonstration` plays it.
"""

import importlib.util
import sys
from typing import Final

from dimse_proxy.errors import TransportError
from dimse_proxy.transports.embedded_nats import find_binary

EXIT_NOT_INSTALLED: Final = 2

_PACKAGES: Final = ("pydicom", "pynetdicom")


def run(*, keep: bool) -> int:
    """Plays the demonstration.

    Args:
        keep: stay up afterwards, until SIGINT or SIGTERM, and say how to join with tools of one's own.

    Returns:
        Exit code: 0 if everything came back identical, 1 if not, 2 if the extra is not installed, 130 if interrupted.
    """
    missing = missing_parts()
    if missing:
        needed = "dimse-proxy demo needs " + " and ".join(missing)
        sys.stderr.write(f"{needed}: pip install 'dimse-proxy[demo]'\n")
        return EXIT_NOT_INSTALLED
    from dimse_proxy.cli.demonstration.story import play

    return play(keep=keep)


def missing_parts() -> list[str]:
    """What the extra `demo` brings and is not there."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    try:
        find_binary()
    except TransportError:
        missing.append("nats-server")
    return missing
