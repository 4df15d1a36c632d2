"""`dimse-proxy queue` on both sides, with the documented permissions and a tunnel key."""

import base64
import io
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom.events import Event

from dimse_proxy.cli.main import run
from dimse_proxy.cli.queuebook import flows
from tests.integration.peers import dicom_files
from tests.integration.peers.dicom_files import DicomFile
from tests.integration.peers.pair import Proxy
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.sites import Sites
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.store_and_forward import documented
from tests.integration.store_and_forward.conftest import QUICK

KEY: Final = base64.b64encode(bytes(range(32))).decode()
REFUSED: Final = 0xC000
FULL: Final = 0xA700
READER: Final = """
    {
      user: reader, password: reader-1
      permissions: {
        subscribe: "DIMSE.A.>"
        publish: ["$JS.API.STREAM.INFO.*", "$JS.API.DIRECT.GET.DIMSE_B_A_RECORDS.>"]
      }
    }
"""
"""A user of the accepting side that has the line for records which the document speaks of, and changes nothing."""
TITLES: Final = ("PACS", "OTHER", "AWAY")


class Printed(NamedTuple):
    """What a command has said."""

    stdout: str
    stderr: str


@dataclass
class Both:
    """A hospital, and a cloud with three targets, of which one is not there; what fails rests for a minute at least."""

    a: Proxy
    b: Proxy
    pacs: Store
    other: Store
    away_port: int
    folder: Path

    def send(self, called: str, *files: DicomFile, calling: str = "CT1") -> None:
        with association(self.a.port, offers(CTImageStorage), called=called, calling=calling) as assoc:
            assert [store_raw(assoc, file) for file in files] == [0x0000] * len(files)

    def file(self, study: str | None = None) -> DicomFile:
        return dicom_files.write_object(self.folder, patient_id="SECRET-ID", study=study)

    def run(self, side: Proxy, *words: str, code: int = 0, **variables: str) -> "Printed":
        """Runs the command in this process, which takes a twentieth of the time of another one."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in [name for name in os.environ if name.startswith("DIMSE_")]:
                patch.delenv(name)
            for name, text in {**side.env, **{f"DIMSE_{name}": text for name, text in variables.items()}}.items():
                patch.setenv(name, text)
            patch.setattr(sys, "argv", ["dimse-proxy", "queue", *words])
            patch.setattr(flows, "configure_logging", lambda _settings: None)
            with pytest.raises(SystemExit) as ended:
                run()
        printed = Printed(out.getvalue(), err.getvalue())
        assert (ended.value.code or 0) == code, printed
        assert "SECRET-ID" not in printed.stdout + printed.stderr
        return printed

    def listed(self, side: Proxy, *words: str, **variables: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(side, "list", "--json", *words, code=0, **variables).stdout)
        (queue,) = found["queues"]
        return dict(queue)

    def dead(self, *files: DicomFile, called: str = "PACS") -> None:
        """Sends objects that the target refuses, and waits until they are dead."""
        self.pacs.statuses |= dict.fromkeys([file.sop_instance for file in files], REFUSED)
        before = self.listed(self.b)["objects"].get("dead", 0)
        self.send(called, *files)
        wait_until(
            lambda: self.listed(self.b)["objects"].get("dead", 0) == before + len(files),
            seconds=30,
            what="dead letters",
        )
        self.pacs.statuses.clear()

    def is_idle(self) -> bool:
        return "delivering" not in self.listed(self.b)["objects"]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("queue")
    ports = {title: free_port() for title in TITLES}
    targets = "".join(
        f'[[target]]\nasked_for = "{title}"\nhosts = "{LOOPBACK}:{port}"\n' for title, port in ports.items()
    )
    variables = {name.removeprefix("DIMSE_"): text for name, text in QUICK.items()} | {
        "NATS_SUBJECT_ROOT": "DIMSE",
        "TUNNEL_KEY": KEY,
        "QUEUE_RETRY_TIMEOUTSECONDS": "120",
        "QUEUE_MAX_RETRY_TIMEOUTSECONDS": "120",
        "QUEUE_IDLE_TIMEOUTSECONDS": "0.5",
    }
    pacs, other = Store(), Store()
    with ExitStack() as stack:
        server, url = documented.start(folder, documented.printed().replace("users = [", f"users = [{READER}"))
        stack.callback(server.stop)
        sites = stack.enter_context(Sites(url, folder / "sites"))
        for title, store in (("PACS", pacs), ("OTHER", other)):
            stack.enter_context(Scp(ports[title], offers(CTImageStorage), store.handlers(), ae=title))
        user = {"NATS_USER": "hospital", "NATS_PASSWORD": "hospital-1"}
        local = '[[local]]\ncalled = "*"\nchannel = "B"\ndelivery = "store-and-forward"\n'
        a = sites.start("A", local, **variables, **user)
        user = {"NATS_USER": "cloud", "NATS_PASSWORD": "cloud-1"}
        b = sites.start("B", f'channels = "A"\n{targets}', DELIVERY_IN="store-and-forward", **variables, **user)
        sites.wait_for_peers("A", ["B"])
        yield Both(a, b, pacs, other, ports["AWAY"], folder)


def test_what_is_there(both: Both) -> None:
    study = "1.2.826.0.1.3680043.8.498.1"
    waiting, refused = [both.file(study), both.file()], both.file()
    both.send("AWAY", *waiting, calling="MR7")
    both.dead(refused)
    wait_until(both.is_idle, seconds=30, what="the target to be found away")

    everything = both.listed(both.b)
    assert everything["objects"] == {"waiting": 2, "dead": 1}
    first, second = everything["associations"]
    assert (first["calling"], first["called"], first["states"]) == ("MR7", "AWAY", {"waiting": 2})
    assert (second["calling"], second["called"], second["states"]) == ("CT1", "PACS", {"dead": 1})
    assert everything["streams"]["bytes"] > 1000

    for words, count in (
        (("--state", "dead"), 1),
        (("--state", "waiting", "--state", "dead"), 3),
        (("--calling", "MR7"), 2),
        (("--called", "AWAY"), 2),
        (("--called", "PACS", "--state", "waiting"), 0),
        (("--study", study), 1),
        (("--study", study, "--state", "dead"), 0),
        (("--older", "1h"), 0),
        (("--newer", "1h"), 3),
        (("--state", "unreadable"), 0),
        ((f"{first['association'][-12:]}/2",), 1),
    ):
        found = both.listed(both.b, *words)
        assert sum(found["objects"].values()) == count, words
    (one,) = both.listed(both.b, "--study", study)["list"]
    assert (one["sop_instance"], one["state"], one["called"]) == (waiting[0].sop_instance, "waiting", "AWAY")
    shortened = both.listed(both.b, "--limit", "1", "--objects")
    assert (len(shortened["list"]), shortened["more"]) == (1, 2)

    shown = both.run(both.b, "show", f"{second['association'][-12:]}/1").stdout
    assert refused.sop_instance in shown
    assert "given up" in shown
    assert "C000H" in shown
    table = both.run(both.b, "list").stdout
    assert "3 objects: 2 waiting, 1 dead" in table
    # What the other key opens is nothing of this.
    other_key = base64.b64encode(bytes(range(32, 64))).decode()
    unreadable = both.listed(both.b, "--state", "unreadable", TUNNEL_KEY=other_key)
    assert unreadable["objects"] == {"unreadable": 2}
    assert "which this proxy does not have" in unreadable["list"][0]["trouble"]
    both.run(both.b, "show", "ffffffff", code=1)


def test_the_accepting_side_sees_less(both: Both) -> None:
    both.dead(both.file())
    found = both.listed(both.a, "--state", "dead")
    assert found["direction"] == "out"
    assert found["objects"]["dead"] >= 1
    assert "$JS.API.DIRECT.GET.DIMSE_B_A_RECORDS" in found["note"]
    done = both.run(both.a, "show", found["associations"][-1]["association"], code=1)
    assert "does not let this user publish to $JS.API.DIRECT.GET.DIMSE_B_A_RECORDS" in done.stderr
    reader = {"NATS_USER": "reader", "NATS_PASSWORD": "reader-1"}
    more = both.run(both.a, "show", found["associations"][-1]["association"], code=0, **reader)
    assert "C000H" in more.stdout
    assert both.listed(both.a, "--called", "PACS", "--state", "dead", **reader)["objects"]["dead"] >= 1
    done = both.run(both.a, "purge", "--all", "--yes", code=1, **reader)
    assert "does not let this user publish to $JS.API.STREAM.PURGE.DIMSE_B_A_RECORDS" in done.stderr
    done = both.run(both.a, "move", "--all", "--to", "OTHER", code=1)
    assert "`dimse-proxy queue move` on channel B" in done.stderr


@pytest.mark.parametrize("side", ["a", "b"])
def test_dead_letters_are_tried_again(both: Both, side: str) -> None:
    files = [both.file(), both.file()]
    both.dead(*files)
    before = len(both.pacs.digests)
    found = both.listed(both.b, "--state", "dead", "--newer", "1h")["associations"][-1]
    done = both.run(getattr(both, side), "retry", found["association"])
    assert "2 objects" in done.stdout
    wait_until(lambda: len(both.pacs.digests) == before + 2, seconds=20, what="both again")


@pytest.mark.parametrize("side", ["a", "b"])
def test_what_rests_is_tried_at_once(both: Both, side: str) -> None:
    file = both.file()
    both.pacs.statuses[file.sop_instance] = FULL
    both.send("PACS", file)
    wait_until(lambda: both.listed(both.b)["objects"].get("resting") == 1, seconds=30, what="an object that rests")
    (one,) = both.listed(both.b, "--state", "resting", "--objects")["list"]
    assert one["attempt"]["tries"] == 1
    both.pacs.statuses.clear()
    before = len(both.pacs.digests)
    assert "1 object " in both.run(getattr(both, side), "retry", "--state", "resting").stdout
    wait_until(lambda: len(both.pacs.digests) > before, seconds=15, what="it")
    wait_until(lambda: not both.listed(both.b)["objects"].get("resting"), seconds=20, what="it to be gone")


def test_moved_to_another_target(both: Both) -> None:
    files = [both.file(), both.file()]
    both.send("AWAY", *files, calling="MOVED")
    both.dead(both.file())
    dead = both.listed(both.b, "--state", "dead")["associations"][-1]["association"]
    wait_until(both.is_idle, seconds=30, what="the target to be found away")
    done = both.run(both.b, "move", "--calling", "MOVED", "--to", "NOBODY", code=2)
    assert "no target is asked for by that from channel A" in done.stderr
    assert "2 objects moved to OTHER" in both.run(both.b, "move", "--calling", "MOVED", "--to", "OTHER").stdout
    both.run(both.b, "move", dead, "--to", "OTHER")
    wait_until(lambda: len(both.other.digests) == 3, seconds=20, what="what was moved")
    assert {file.sop_instance for file in files} <= set(both.other.received)
    assert both.other.calling.count("MOVED") == 2
    wait_until(lambda: not both.listed(both.b, "--calling", "MOVED")["objects"], seconds=20, what="none of it left")


@pytest.mark.parametrize("side", ["a", "b"])
def test_purged(both: Both, side: str) -> None:
    proxy: Proxy = getattr(both, side)
    both.send("AWAY", both.file(), both.file(), calling=f"PURGED{side}")
    wait_until(both.is_idle, seconds=30, what="the target to be found away")
    chosen = ("--calling", f"PURGED{side}")
    done = both.run(proxy, "purge", *chosen, code=2)
    assert "Delete 2 objects (2 waiting; " in done.stderr
    assert "the oldest began " in done.stderr
    assert "--yes is needed" in done.stderr
    assert both.listed(both.b, *chosen)["objects"]
    assert "2 objects deleted" in both.run(proxy, "purge", *chosen, "--yes").stdout
    assert not both.listed(both.b, *chosen)["objects"]
    both.run(proxy, "purge", *chosen, "--yes", code=1)


def test_what_is_being_delivered_is_left(both: Both) -> None:
    class Slow(Store):
        def handle_store(self, event: Event) -> int | Dataset:
            assert goes_on.wait(30)
            return super().handle_store(event)

    goes_on, store = threading.Event(), Slow()
    files = [both.file(), both.file()]
    with Scp(both.away_port, offers(CTImageStorage), store.handlers(), ae="AWAY"):
        both.send("AWAY", *files, calling="SLOW")
        both.run(both.b, "retry", "--calling", "SLOW")
        chosen = ("--calling", "SLOW")
        wait_until(lambda: both.listed(both.b, *chosen)["objects"] == {"delivering": 2}, seconds=15, what="its turn")
        for side in (both.a, both.b):
            assert "nothing deleted; 2 left" in both.run(side, "purge", *chosen, "--yes").stdout
        assert "0 objects moved to OTHER; 2 left" in both.run(both.b, "move", *chosen, "--to", "OTHER").stdout
        goes_on.set()
        wait_until(lambda: len(store.digests) == 2, seconds=20, what="both")
        wait_until(lambda: not both.listed(both.b, *chosen)["objects"], seconds=20, what="none of it left")


def test_drained_by_hand(both: Both) -> None:
    both.send("AWAY", both.file())
    wait_until(both.is_idle, seconds=30, what="the target to be found away")
    assert "left to deliver" in both.run(both.b, "drain", "--timeout", "0", code=1).stdout
    wait_until(both.is_idle, seconds=30, what="the target to be found away")
    store = Store()
    with Scp(both.away_port, offers(CTImageStorage), store.handlers(), ae="AWAY"):
        assert "0 objects left to deliver" in both.run(both.b, "drain", "--timeout", "40").stdout
    assert store.digests


def test_nothing_to_look_at(both: Both) -> None:
    assert "store and forward is off" in both.run(both.b, "list", code=2, DELIVERY_IN="relay").stderr
    assert "which objects?" in both.run(both.b, "purge", "--yes", code=2).stderr
    assert (
        "there is no such queue; there is in with channel A"
        in both.run(both.b, "list", "--channel", "C", code=2).stderr
    )
    done = both.run(both.b, "list", code=1, NATS_PASSWORD="wrong")
    assert "uthorization" in done.stderr
