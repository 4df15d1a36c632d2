"""Faults of the proxies themselves: killed, suspended, stopped, or cut off for almost too long."""

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.chaos.bench import Bench, Side
from tests.chaos.faults import say
from tests.chaos.scale import IS_LONG, timeout
from tests.chaos.stream import AbortedError, Association
from tests.integration.peers.waiting import wait_until

BEYOND = 5.0
"""Seconds after the resume time-out at which a peer is lost: it may have been killed right before we lost NATS."""
MISSED_HELLO = 10.0
"""Seconds after which a peer is no longer asked."""


class Watched:
    """An association that asks for an echo twice a second until it is aborted or released."""

    def __init__(self, port: int) -> None:
        self.ended: float | None = None
        """When it was aborted."""
        self.text = ""
        self._association = Association(port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._over.wait(0.5):
                self._association.echo()
            self._association.release()
        except AbortedError as error:
            self.ended = time.monotonic()
            self.text = str(error)
        finally:
            self._association.close()

    def release(self) -> None:
        self._over.set()
        self._thread.join(30)


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_kill_of_one_of_two_peers(tmp_path: Path) -> None:
    """Its associations end after the resume time-out, the other one's go on, new ones reach the other one."""
    resume = 60 if IS_LONG else 4
    with Bench(tmp_path, instances={"B": 2}, env={"DIMSE_RESUME_TIMEOUTSECONDS": str(resume)}) as bench:
        wait_until(lambda: len(bench.node("A").proxy.find("peer appeared")) == 2, seconds=10, what="A to see both")
        watched = [Watched(bench.port("A")) for _ in range(8)]
        killed = time.monotonic()
        bench.nodes["b1"].proxy.process.kill()
        waits = []
        while time.monotonic() < killed + MISSED_HELLO + 2:
            begun = time.monotonic()
            with Association(bench.port("A")) as association:
                association.echo()
            waits.append(time.monotonic() - begun)
            time.sleep(0.1)
        wait_until(lambda: any(each.ended for each in watched), seconds=resume + 20, what="the first to be aborted")
        time.sleep(1)
        for each in watched:
            each.release()
        ends = [each.ended - killed for each in watched if each.ended is not None]
        say(
            f"kill -9 of one of two peers: {len(ends)} associations aborted after {min(ends):.1f} to {max(ends):.1f} s "
            f"(resume time-out {resume} s), {8 - len(ends)} of the other peer went on; of {len(waits)} new ones the "
            f"slowest took {max(waits):.1f} s"
        )
        assert {each.text for each in watched} == {"", "A-ABORT source 2 reason 0"}
        assert len(ends) == 4, "work is shared"
        assert max(ends) < resume + BEYOND + 3
        assert max(waits) < MISSED_HELLO / 2, "nobody waits until the hello of the dead one is missed"
        bench.check_logs()


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_a_killed_peer_that_comes_back_under_its_name(tmp_path: Path) -> None:
    """Its associations end at once, long before the resume time-out, and new ones work."""
    with Bench(tmp_path, env_of={"B": {"DIMSE_INSTANCE": "archive"}}) as bench:
        watched = [Watched(bench.port("A")) for _ in range(4)]
        bench.nodes["b1"].proxy.process.kill()
        bench.add("B", "b2")
        back = time.monotonic()
        wait_until(lambda: all(each.ended for each in watched), seconds=30, what="all to be aborted")
        waits = [max(0.0, each.ended - back) for each in watched if each.ended is not None]
        with Association(bench.port("A")) as association:
            association.echo()
        for each in watched:
            each.release()
        say(f"kill -9 of a peer that comes back under its name: 4 associations aborted {max(waits):.1f} s after that")
        assert {each.text for each in watched} == {"A-ABORT source 2 reason 0"}
        assert max(waits) < 10


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
@pytest.mark.parametrize(("side", "seconds"), [("A", 30), ("B", 55)] if IS_LONG else [("B", 55)])
def test_link_out_for_almost_the_resume_time_out(tmp_path: Path, side: Side, seconds: int) -> None:
    """Half of it or most of it: nothing is aborted."""
    resume, outage = (60, float(seconds)) if IS_LONG else (9, seconds / 6.7)
    with Bench(tmp_path, env={"DIMSE_RESUME_TIMEOUTSECONDS": str(resume)}) as bench:
        bench.start_load(associations=4)
        bench.wait_until_moving()
        link = bench.node(side).link
        link.swallow()
        time.sleep(outage)
        link.heal()
        bench.wait_until_moving()
        totals = bench.finish()
        say(f"{side}'s link out for {outage:g} s of {resume} s: {totals.line(1)}")
        bench.check_logs()
    totals.check()


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
@pytest.mark.parametrize("side", ["A", "B"] if IS_LONG else ["A"])
def test_suspended_proxy(tmp_path: Path, side: Side) -> None:
    """SIGSTOP for two thirds of the resume time-out: it goes on where it was."""
    resume, pause = (60, 40.0) if IS_LONG else (9, 6.0)
    with Bench(tmp_path, env={"DIMSE_RESUME_TIMEOUTSECONDS": str(resume)}) as bench:
        bench.start_load(associations=4)
        bench.wait_until_moving()
        process = bench.node(side).proxy.process
        process.signal(signal.SIGSTOP)
        time.sleep(pause)
        process.signal(signal.SIGCONT)
        bench.wait_until_moving()
        totals = bench.finish()
        say(f"SIGSTOP of {side}'s proxy for {pause:g} s of {resume} s: {totals.line(1)}")
        bench.check_logs()
    totals.check()


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_stop_of_one_of_two_peers_under_load(tmp_path: Path) -> None:
    """What runs comes to its end there, and nothing new goes there from the first moment."""
    with Bench(tmp_path, instances={"B": 2}, env={"DIMSE_GRACE_TIMEOUTSECONDS": "60"}) as bench:
        wait_until(lambda: len(bench.node("A").proxy.find("peer appeared")) == 2, seconds=10, what="A to see both")
        bench.start_load(move=None, sides=("A",))
        wait_until(lambda: bench.sites["B"].figure("received") > 50_000_000, seconds=30, what="the load to move")
        going = bench.nodes["b1"].proxy
        before = time.monotonic()
        going.process.popen.terminate()
        assert going.process.popen.wait(60) == 0
        seconds = time.monotonic() - before
        bench.wait_until_moves("B")
        totals = bench.finish()
        ended = going.find('"event": "association ended"')
        say(f"SIGTERM of one of two peers, gone after {seconds:.1f} s with {len(ended)} associations: {totals.line(1)}")
        bench.check_logs()
    totals.check()
    assert totals.refused == 0
    assert all(line["outcome"] == "released" for line in ended), ended[-1]
