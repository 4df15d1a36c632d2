"""`dimse-proxy echo` as a person types it, beside a running pair: as whom it calls, and where it says the way ends."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.conftest import PairFactory
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Scp, offers
from tests.integration.peers.waiting import free_port

HOPS = ("NATS connection", "NATS round trip", "peer found", "peer proxy", "association with the target", "C-ECHO")


def echo(env: Mapping[str, str], folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dimse_proxy", "echo", *arguments],
        env={**os.environ, **env},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def target_of(pair: Pair) -> Target:
    assert pair.target_b is not None
    return pair.target_b


def test_the_target_is_asked_as_whoever_is_named(make_pair: PairFactory, tmp_path: Path) -> None:
    pair = make_pair(target_b=Target(port=free_port()), env_b={"DIMSE_CALLING_AE": "original"})
    asked_by: list[str] = []

    def handle(event: Event) -> int:
        asked_by.append(event.assoc.requestor.ae_title)
        return 0x0000

    with Scp(target_of(pair).port, offers(Verification), [(evt.EVT_C_ECHO, handle)]):
        for arguments in ((), ("--calling", "CT 1"), ("--calling", "CT2", "--called", "ANY", "--channel", "B")):
            done = echo(pair.a.env, tmp_path, *arguments)
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
            assert [hop for hop in HOPS if not re.search(rf"{hop} .*\d\.\d", done.stdout)] == []
            assert re.search(r"C-ECHO .* 0000H", done.stdout)
    # A proxy that answers to every AE title has none of its own, and calls itself this.
    assert asked_by == ["DIMSEPROXY", "CT 1", "CT2"]


def test_the_hop_where_the_way_ends_is_named(make_pair: PairFactory, tmp_path: Path) -> None:
    pair = make_pair(target_b=Target(port=free_port()), env_b={"DIMSE_ALLOWED_CALLING_AES_IN": "CT1"})
    for arguments, words in (
        (("--calling", "CT1"), r"target-unreachable"),
        (("--calling", "CT2"), r"calling-not-allowed"),
        (("--channel", "C"), r"--channel is 'C': this proxy talks to B"),
    ):
        done = echo(pair.a.env, tmp_path, *arguments)
        assert done.returncode == (2 if "--channel" in arguments else 1)
        assert len(done.stderr.splitlines()) == 1
        assert re.search(words, done.stderr), done.stderr


@pytest.mark.parametrize("option", ["--called", "--calling"])
def test_what_is_no_ae_title_is_said(option: str, tmp_path: Path) -> None:
    env = {"DIMSE_NATS_URL": "127.0.0.1:1", "DIMSE_NATS_SUBJECT_CHANNEL": "A"}
    done = echo(env, tmp_path, option, "SEVENTEEN_LETTERS")
    assert done.returncode == 2
    assert done.stderr == f"{option}: AE title 'SEVENTEEN_LETTERS' has 17 characters, and at most 16 are right.\n"
