"""What the tests of `dimse-proxy doctor` share: a site, the command, and the list of the faults that are planted."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Proxy
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import LOOPBACK, free_port

DOCS = Path(__file__).resolve().parents[3] / "docs" / "doctor.md"
ALL_WELL, WARNING, ERROR = 0, 1, 2
Env = dict[str, str]
T = TypeVar("T")

PLANTED: Final[set[str]] = set()
"""Faults of the table that a test plants, once the modules of those tests are loaded."""


def plants(*faults: str) -> Callable[[T], T]:
    """Marks a test that plants these faults of docs/doctor.md."""
    PLANTED.update(faults)
    return lambda test: test


class Site:
    """One NATS server's two sides: A is the doctor's, B a real proxy."""

    def __init__(self, nats: NatsServer, folder: Path) -> None:
        self.nats, self.folder = nats, folder
        self.target_port = free_port()
        self.root = f"D{free_port()}"
        self._stack = contextlib.ExitStack()

    def env(self, channel: str, **more: str) -> Env:
        return {
            "DIMSE_NATS_URL": self.nats.url,
            "DIMSE_NATS_SUBJECT_ROOT": self.root,
            "DIMSE_NATS_SUBJECT_CHANNEL": channel,
            "DIMSE_HOST": LOOPBACK,
            "DIMSE_PORT": str(free_port()),
            "DIMSE_HTTP_PORT": "",
            "DIMSE_LOG_FORMAT": "json",
            "DIMSE_GRACE_TIMEOUTSECONDS": "0",
            "DIMSE_CONNECT_TIMEOUTSECONDS": "3",
            "DIMSE_ACCEPT_TIMEOUTSECONDS": "3",
            **more,
        }

    def env_without_nats(self, channel: str, **more: str) -> Env:
        """NATS is found to be down at once: for faults that are named before it."""
        return self.env(channel, DIMSE_NATS_URL=f"{LOOPBACK}:{free_port()}", **more)

    def start_b(self, **more: str) -> Proxy:
        target = {"DIMSE_TARGET_HOST": LOOPBACK, "DIMSE_TARGET_PORT": str(self.target_port), "DIMSE_TARGET_AE": "SCP"}
        proxy = Proxy("b", self.folder, self.env("B", **(target | more)))
        self._stack.callback(proxy.process.stop)
        proxy.wait_for("NATS connected")
        return proxy

    def start_target(self, *supported: str) -> Scp:
        return self._stack.enter_context(Scp(self.target_port, offers(*(supported or (Verification,))), []))

    def close(self) -> None:
        self._stack.close()


def examine(env: Mapping[str, str], folder: Path, *arguments: str, within: Sequence[str] = ()) -> tuple[int, str]:
    """Exit code and output; `within` is a command that runs it."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DIMSE_")}
    done = subprocess.run(
        [*within, sys.executable, "-m", "dimse_proxy", "doctor", *arguments],
        env={**inherited, **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def first(env: Mapping[str, str], folder: Path, *, code: int = ERROR, within: Sequence[str] = ()) -> dict[str, Any]:
    """The first thing that is wrong."""
    found, text = examine(env, folder, "--json", within=within)
    report = json.loads(text)
    assert found == code, text
    it: dict[str, Any] = report["first"]
    assert it["remedy"], "nobody is told how to mend it"
    return it


def cause(
    env: Mapping[str, str], folder: Path, check: str, words: str, *, code: int = ERROR, within: Sequence[str] = ()
) -> None:
    """The first thing that is wrong must be this, and be in the table of the documentation."""
    it = first(env, folder, code=code, within=within)
    assert it["check"] == check, it
    assert re.search(words, it["text"]), it
    assert f"| {check} |" in DOCS.read_text(), f"docs/doctor.md has no fault of {check}"
