"""What is under way to one connection is bounded, nobody starves, and the small does not wait behind the large."""

import threading
import time
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.bench import Bench
from tests.chaos.faults import say
from tests.chaos.scale import IS_LONG, timeout
from tests.chaos.stream import Association
from tests.integration.peers.waiting import wait_until

BUDGET: Final = 32 << 20
SESSIONS: Final = 64
MARGIN: Final = 256 << 10
"""Bytes of headers, acknowledgements and hellos, which no window counts."""
ROUND_TRIP: Final = 0.2
ECHO: Final = 2.0
TEN_MEGABIT: Final = 1.25e6
"""Bytes a second."""


class InFlight:
    """Samples what the proxies of channel A have sent and proxy B has not been handed yet, wherever it is."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._over = threading.Event()
        self._start = self._now()
        self.most = 0
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _now(self) -> int:
        links = {name: node.link for name, node in self._bench.nodes.items()}
        return sum(link.to_servers for name, link in links.items() if name[0] == "a") - links["b1"].to_proxy

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.most = max(self.most, self._now() - self._start)

    def stop(self) -> int:
        """The most that was under way, bytes."""
        self._over.set()
        self._thread.join(10)
        return self.most


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
@pytest.mark.parametrize("sites", [1, 3] if IS_LONG else [3])
def test_bytes_in_flight_to_one_connection(tmp_path: Path, sites: int) -> None:
    """64 sessions send at once, from one proxy or from three, to one whose link then passes nothing for a while."""
    hole = 8.0 if IS_LONG else 2.0
    with Bench(tmp_path, instances={"A": sites}) as bench:
        in_flight = InFlight(bench)
        bench.node("B").link.slow(delay=ROUND_TRIP / 2)  # a long way: more has to be under way to use it
        for number in range(1, sites + 1):
            port = bench.nodes[f"a{number}"].proxy.port
            share = SESSIONS // sites + (number <= SESSIONS % sites)
            bench.sites["A"].do(
                "store",
                port=port,
                associations=share,
                least=500_000,
                most=8_000_000,
                per_association=1,
                calling="STORER",
            )
        bench.wait_until_moves("B")
        time.sleep(4)  # until the way is full
        bench.node("B").link.swallow()
        time.sleep(hole)
        bench.node("B").link.heal()
        wait_until(
            lambda: bench.sites["A"].figure("fewest_turns") >= 1, seconds=90, what="every session to have had its turn"
        )
        most = in_flight.stop()
        totals = bench.finish()
        slow_consumers = bench.servers.all[0].slow_consumers()
        turns = bench.accounts["A"].turns
        say(
            f"{SESSIONS} sessions from {sites} proxies to one: at most {most / 1048576:.1f} MiB in flight, "
            f"also while nothing passes for {hole:g} s; turns {min(turns)} to "
            f"{max(turns)}; slow consumers {slow_consumers}; {totals.line(1)}"
        )
        bench.check_logs()
    totals.check()
    assert len(turns) == SESSIONS
    assert BUDGET / 16 < most <= BUDGET + MARGIN
    assert slow_consumers == 0


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
@pytest.mark.parametrize("sessions", [8, SESSIONS] if IS_LONG else [SESSIONS])
def test_echo_beside_large_objects_on_a_slow_link(tmp_path: Path, sessions: int) -> None:
    """10 Mbit/s, all of it taken by C-STOREs: a C-ECHO on an association of its own is answered within two seconds."""
    with Bench(tmp_path) as bench:
        other = Association(bench.port("A"))
        bench.node("A").link.limit(TEN_MEGABIT)
        bench.start_load(
            associations=sessions,
            least=2_000_000,
            most=4_000_000,
            per_association=1,
            find=None,
            move=None,
            sides=("A",),
        )
        wait_until(lambda: bench.sites["B"].figure("received") > 5_000_000, seconds=60, what="the link to be full")
        echoes = []
        before, begun = bench.received()["B"], time.monotonic()
        for _ in range(40 if IS_LONG else 8):
            echoes.append(other.echo())
            time.sleep(0.25)
        rate = (bench.received()["B"] - before) / (time.monotonic() - begun)
        begun = time.monotonic()
        with Association(bench.port("A")) as third:
            third.echo()
        whole = time.monotonic() - begun
        other.release()
        bench.node("A").link.heal()
        totals = bench.finish()
        median = sorted(echoes)[len(echoes) // 2]
        say(
            f"{sessions} C-STOREs on a link of 10 Mbit/s (objects arrive with {rate * 8e-6:.1f} Mbit/s): C-ECHO median "
            f"{median:.2f} s, longest {max(echoes):.2f} s; with association and release {whole:.2f} s"
        )
        bench.check_logs()
    totals.check()
    assert max(echoes) < ECHO, [round(each, 2) for each in echoes]
    assert rate > TEN_MEGABIT / 2
