"""The two ways from an SCU to an SCP: directly, and through two proxies.

A test that is written for a `Route` states once what it expects, and is run on both ways. `Route.same` compares what
happens through the pair with what happens directly, in one test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tests.integration.peers.pair import Pair
from tests.integration.peers.waiting import free_port

T = TypeVar("T")

# The AEs of the shared pair; on the direct way the same peers carry the same titles.
TARGET_AE: Final = "TARGET"
ASKER_AE: Final = "ASKER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Ports of one way; every peer is on the loopback interface."""

    name: str
    """`direct` or `pair`."""
    port: int
    """Called by the SCU."""
    scp_port: int
    """Where the SCP (AE title `TARGET`) listens."""
    back_port: int
    """Called by the SCP when it opens an association towards the SCU's side (C-MOVE, storage commitment)."""
    asker_port: int
    """Where the SCU's own SCP (AE title `ASKER`) listens."""

    @classmethod
    def direct(cls) -> "Route":
        scp_port, asker_port = free_port(), free_port()
        return cls(name="direct", port=scp_port, scp_port=scp_port, back_port=asker_port, asker_port=asker_port)

    @classmethod
    def through(cls, pair: Pair) -> "Route":
        assert pair.target_a is not None
        assert pair.target_b is not None
        return cls(
            name="pair",
            port=pair.a.port,
            scp_port=pair.target_b.port,
            back_port=pair.b.port,
            asker_port=pair.target_a.port,
        )

    def same(self, scenario: Callable[[int], T]) -> T:
        """Runs `scenario` with the port to call; through the pair, it must give what it gives directly.

        Returns:
            what it gave, for further assertions.
        """
        if self.port == self.scp_port:
            return scenario(self.port)
        directly = scenario(self.scp_port)
        proxied = scenario(self.port)
        assert proxied == directly
        return proxied
