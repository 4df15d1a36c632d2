"""Which host of a target to try first: those that could not be connected to lately come last.

Pure: it is told what happened, and when. Connecting is for the requestor's driver.
"""

from collections.abc import Sequence
from typing import Final

from dimse_proxy.transports.streams import Address

DOWN_SECONDS: Final = 30.0
"""How long a host that could not be connected to is tried last: a dead one costs an association its connect time-out
about this often, and one that is back is used again after it."""


class Failover:
    """What is known of the hosts of one process's targets."""

    def __init__(self) -> None:
        self._down_until: Final[dict[Address, float]] = {}

    def order(self, hosts: Sequence[Address], now: float) -> tuple[Address, ...]:
        """The hosts in the order in which to try them.

        One whose time is over comes in its own place again, for this association alone: those that come meanwhile still
        go around it, until it is known how that went.
        """
        if len(hosts) == 1 or not self._down_until:
            return tuple(hosts)
        up = [host for host in hosts if self._down_until.get(host, now) <= now]
        down = [host for host in hosts if host not in up]
        if up and up[0] in self._down_until:
            self._down_until[up[0]] = now + DOWN_SECONDS
        return (*up, *down)

    def failed(self, host: Address, now: float) -> bool:
        """Notes that it could not be connected to; whether that is news."""
        is_news = host not in self._down_until
        self._down_until[host] = now + DOWN_SECONDS
        return is_news

    def succeeded(self, host: Address) -> bool:
        """Notes that it could be connected to; whether that is news."""
        return self._down_until.pop(host, None) is not None
