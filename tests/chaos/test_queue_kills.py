"""kill -9 of each part of store and forward at random moments under load: what was answered with success arrives.

The short form kills each kind of part once or twice; the long one (`make chaos`) a hundred times in a row.
"""

import random
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.faults import say
from tests.chaos.queue_load import Archive, Scus
from tests.chaos.queue_stages import MakeStage, Stage, cluster, leaf, one_server
from tests.chaos.scale import IS_LONG, timeout
from tests.integration.peers.waiting import wait_until

OBJECTS_BETWEEN: Final = 10
"""Objects answered with success between two kills at least, so that there is load at each."""
MOST_DUPLICATES: Final = 0.01
"""Of the objects that arrived; of the long form, since the short one is over before one in a hundred means anything."""


def victims(stage: Stage, kills: int, chance: random.Random) -> list[str]:
    """Every part equally often, in any order."""
    rounds = -(-kills // len(stage.victims))
    chosen = [name for _ in range(rounds) for name in chance.sample(stage.victims, len(stage.victims))]
    return chosen[:kills]


KILLS: Final[Mapping[MakeStage, tuple[int, int]]] = {one_server: (40, 3), cluster: (30, 1), leaf: (30, 2)}
"""Of the long form and of the short one, which takes the last parts of each stage."""


@pytest.mark.slow
@pytest.mark.timeout(timeout(180))
@pytest.mark.parametrize(
    "stages",
    [[one_server], [cluster], [leaf]] if IS_LONG else [[one_server, cluster, leaf]],
    ids=lambda stages: ", ".join(make.__name__ for make in stages),
)
def test_whatever_is_killed_nothing_is_lost(tmp_path: Path, stages: list[MakeStage]) -> None:
    """The stages of the short form run at once, and its proxies are hasty: they wait for the leases of the dead."""
    with ThreadPoolExecutor(len(stages)) as pool:
        for line in pool.map(lambda make: kill_and_compare(make, tmp_path / make.__name__), stages):
            say(line)


def kill_and_compare(make: MakeStage, folder: Path) -> str:
    """Kill the parts of a stage under load, and see that everything has arrived; return what happened."""
    folder.mkdir()
    chance, archive = random.Random(), Archive()
    long, short = KILLS[make]
    with ExitStack() as stack:
        stage = make(stack, folder)
        stack.enter_context(archive.at(stage.target.port))
        scus = stack.enter_context(Scus(stage.port, folder / "header"))

        def more(count: int) -> bool:
            return len(scus.succeeded()) >= count

        begun = time.monotonic()
        chosen = victims(stage, long, chance) if IS_LONG else list(stage.victims)[-short:]
        for victim in chosen:
            wait_until(partial(more, len(scus.succeeded()) + OBJECTS_BETWEEN), seconds=90, what="objects")
            time.sleep(chance.uniform(0, 4 if IS_LONG else 0.5))
            stage.kill(victim)
        wait_until(partial(more, len(scus.succeeded()) + OBJECTS_BETWEEN), seconds=90, what="objects")
        scus.stop()
        stopped = time.monotonic()
        sent = scus.succeeded()
        wait_until(lambda: sent.keys() <= archive.came.keys(), seconds=120, what="all that was answered with success")
        arrived = time.monotonic()
        # A duplicate comes when a lease has become stale, if there is one to come.
        time.sleep(40 if IS_LONG else 0)
        stage.check_logs()
    assert {uid: archive.digests[uid] for uid in sent} == sent
    if IS_LONG:
        assert archive.duplicates < MOST_DUPLICATES * len(archive.came)
    killed = ", ".join(f"{name} {count}" for name, count in Counter(chosen).items())
    return (
        f"kill -9, {len(chosen)} times in {stopped - begun:.0f} s ({killed}): {scus.sent} objects sent, {len(sent)} "
        f"answered with success, all of them there {arrived - stopped:.0f} s after the last one; "
        f"{archive.duplicates} came twice, {len(archive.came.keys() - sent.keys())} that were not answered came"
    )
