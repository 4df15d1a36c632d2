"""A proxy that waits for no dead one: `dimse-proxy run` with a lease of seconds, for tests that have no half a minute.

Nothing else of the proxy is changed. Run as `python -m tests.chaos.hasty_proxy run`.
"""

import sys
from typing import Final

HASTE: Final = 6
"""The times of a lease are shorter by this factor, and what depends on them."""


def main() -> None:
    """Run the command with its own arguments."""
    from dimse_proxy.queueing import claims

    for name in ("LEASE_TIME", "RENEW_INTERVAL", "CLAIM_IDLE", "MARK_INTERVAL"):
        setattr(claims, name, getattr(claims, name) / HASTE)
    from dimse_proxy.proxy.store_and_forward import delivery

    delivery._BUSY_PAUSE /= HASTE  # type: ignore[misc]
    from dimse_proxy.cli.main import run

    sys.argv[0] = "dimse-proxy"
    run()


if __name__ == "__main__":
    main()
