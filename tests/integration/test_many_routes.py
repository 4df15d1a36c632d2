"""200 routes on both sides: an association takes no longer to set up than where there is one."""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.faults import say
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.sites import Sites
from tests.integration.peers.waiting import LOOPBACK
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Acceptor, connect

ROUTES: Final = 200
ROUNDS: Final = 300
MOST: Final = 1.25
"""Times as long, at most: what is left of a machine's noise when medians of turns are compared."""


class Way:
    """From one proxy to the other, by as many routes as asked for, all of which end at one target."""

    def __init__(self, nats: NatsServer, folder: Path, acceptor: Acceptor, routes: int) -> None:
        self.sites: Final = Sites(nats.url, folder)
        self._acceptor: Final = acceptor
        self._routes: Final = routes
        host = f"{LOOPBACK}:{acceptor.port}"
        local = (f'[[local]]\ncalled = "CALLED{n}"\nask_for = "ASKED{n}"\n' for n in range(routes))
        targets = (f'[[target]]\nasked_for = "ASKED{n}"\nhosts = "{host}"\nae = "AE{n}"\n' for n in range(routes))
        self.sites.start("FAR", 'channels = "NEAR"\n' + "".join(targets))
        self.sites.start("NEAR", 'channels = "FAR"\n' + "".join(local))
        for one, other in (("NEAR", "FAR"), ("FAR", "NEAR")):
            self.sites.wait_for_peers(one, [other])

    def set_up(self, number: int) -> float:
        """Seconds from the SCU's A-ASSOCIATE-RQ to its A-ASSOCIATE-AC, the connections on both sides included."""
        called = number % self._routes
        title = f"CALLED{called}".encode().ljust(16)
        request = pdus.rq(pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT), called=title)
        begun = time.perf_counter()
        with connect(self.sites["NEAR"].port) as scu:
            scu.send(request)
            with self._acceptor.accept() as scp:
                asked = scp.expect(pdus.RQ)
                scp.send(pdus.simple_ac(asked))
                scu.expect(pdus.AC)
                seconds = time.perf_counter() - begun
                assert pdus.titles(asked)[:16] == f"AE{called}".encode().ljust(16)
                scu.send(pdus.abort(0, 0))
                scp.expect(pdus.ABORT)
        return seconds


@pytest.fixture
def ways(nats_server: NatsServer, tmp_path: Path) -> Iterator[tuple[Way, Way]]:
    with ExitStack() as stack:
        acceptor = stack.enter_context(Acceptor())
        one = Way(nats_server, tmp_path / "one", acceptor, 1)
        stack.enter_context(one.sites)
        many = Way(nats_server, tmp_path / "many", acceptor, ROUTES)
        stack.enter_context(many.sites)
        yield one, many


@pytest.mark.slow
@pytest.mark.alone
def test_200_routes_do_not_show_in_the_setting_up_of_associations(ways: tuple[Way, Way]) -> None:
    """In turns, so that what else the machine does strikes both; that lookups do not search is a unit test."""
    one, many = ways
    seconds: dict[int, list[float]] = {1: [], ROUTES: []}
    for number in range(ROUNDS):
        seconds[1].append(one.set_up(number))
        seconds[ROUTES].append(many.set_up(number))
    medians = {routes: statistics.median(times) for routes, times in seconds.items()}
    say(
        ", ".join(f"{routes} routes: {median * 1000:.2f} ms (median of {ROUNDS})" for routes, median in medians.items())
    )
    assert medians[ROUTES] < medians[1] * MOST
