"""The first host of a target ends under load: new associations go to the second one, and what that takes.

A host whose archive was killed refuses connections. One that lost its power answers nothing; it is played by a listener
whose backlog is full.
"""

import math
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.load import Load as Site
from tests.integration.availability.load import SCUS, Load, tell
from tests.integration.conftest import PairFactory
from tests.integration.peers.waiting import LOOPBACK, free_port

IN_PASSING: Final = 0.2
"""Seconds after the end of a host in which an association may have reached it before."""
AT_ONCE: Final = 3.0
"""Seconds in which a new association has to be accepted, beside that; the rest is for a busy machine."""

ROUTES: Final = """
[[target]]
asked_for = "PACS"
hosts = ["127.0.0.1:{first}", "127.0.0.1:{second}"]
connect_timeout_seconds = 1
"""
CONNECT: Final = 1.0
"""Seconds, as there."""


@contextmanager
def black_hole(port: int) -> Iterator[None]:
    """Connections to `port` are never made."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(0)
        for _ in range(3):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex((LOOPBACK, port))
        yield


@pytest.mark.slow
@pytest.mark.alone
def test_a_host_that_refuses(make_pair: PairFactory, tmp_path: Path) -> None:
    """Killed under load: what was in its backlog is lost with it, everything after that goes on at once."""
    routes = tmp_path / "routes.toml"
    with Site("first", tmp_path) as first, Site("second", tmp_path) as second:
        routes.write_text(ROUTES.format(first=first.port, second=second.port))
        pair = make_pair(env_b={"DIMSE_ROUTES_FILE": str(routes)})
        with Load(pair.a.port) as load:
            load.wait_for_more()
            ended = time.monotonic()
            first.process.kill()
            load.wait_for_more()
    new = [each for each in load.attempts if each.begun >= ended]
    tell("kill -9 of the first of two hosts", new)
    settled = [each for each in new if each.begun > ended + IN_PASSING]
    assert {each.outcome for each in settled} == {"well"}
    assert max(each.accepted_after or math.inf for each in settled) < AT_ONCE


@pytest.mark.slow
@pytest.mark.alone
def test_a_host_that_answers_nothing(make_pair: PairFactory, tmp_path: Path) -> None:
    """The first associations wait for the connect time-out; those that come later do not."""
    routes = tmp_path / "routes.toml"
    first = free_port()
    with black_hole(first), Site("second", tmp_path) as second:
        routes.write_text(ROUTES.format(first=first, second=second.port))
        pair = make_pair(env_b={"DIMSE_ROUTES_FILE": str(routes)})
        with Load(pair.a.port) as load:
            load.wait_for_more()
    tell(f"the first of two hosts answers nothing, {CONNECT} s to connect", load.attempts)
    assert {each.outcome for each in load.attempts} == {"well"}
    assert max(each.accepted_after or math.inf for each in load.attempts) < AT_ONCE + CONNECT
    assert sum((each.accepted_after or math.inf) >= CONNECT for each in load.attempts) <= SCUS
