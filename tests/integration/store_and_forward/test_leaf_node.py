"""A leaf node in the hospital, as the document has it: objects are taken while the hub is away, and arrive later."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from pydicom.uid import CTImageStorage

from tests.integration.peers import dicom_files
from tests.integration.peers.nats import NATS_SERVER
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.pynetdicom_peers import Scp, association, offers, store_raw
from tests.integration.peers.retrieval import Store
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until
from tests.integration.store_and_forward.conftest import env_of_a, env_of_b

DOCUMENT: Final = (Path(__file__).resolve().parents[3] / "docs" / "store-and-forward.md").read_text()
PASSWORDS: Final = {"HOSPITAL_PASSWORD": "h:/@spital 1", "CLOUD_PASSWORD": "cloud-1", "PROXY_PASSWORD": "proxy-1"}


def printed(name: str) -> str:
    """A configuration of nats-server that the document prints."""
    (text,) = re.findall(rf"```\n(# {re.escape(name)}\n.*?)```", DOCUMENT, re.DOTALL)
    return str(text)


@dataclass
class Servers:
    """The hub, which can be away, and what else runs."""

    folder: Path
    stack: ExitStack
    port: int = field(default_factory=free_port)
    leaf_port: int = field(default_factory=free_port)
    hub: ChildProcess | None = None

    def start(self, name: str, text: str, port: int) -> ChildProcess:
        path = self.folder / name
        path.write_text(text)
        quoted = {name: f'"{password}"' for name, password in PASSWORDS.items()}
        command = [str(NATS_SERVER), "-c", str(path), "-a", LOOPBACK, "-p", str(port)]
        process = ChildProcess(name, command, self.folder, env={**os.environ, **quoted})
        self.stack.callback(process.stop)
        process.wait_for_listener(port)
        return process

    def start_hub(self) -> None:
        text = printed("hub.conf").replace("port: 7422", f'listen: "{LOOPBACK}:{self.leaf_port}"')
        self.hub = self.start("hub.conf", text, self.port)

    def stop_hub(self) -> None:
        assert self.hub is not None
        self.hub.stop()

    def with_child(self) -> tuple[str, Mapping[str, str]]:
        """Where the hospital's proxy connects, and as whom: with a nats-server of its own."""
        return f"nats://{LOOPBACK}:{self.port}", {
            "DIMSE_NATS_USER": "hospital",
            "DIMSE_NATS_PASSWORD": PASSWORDS["HOSPITAL_PASSWORD"],
            "DIMSE_LEAF_STORE": str(self.folder / "leaf"),
            "DIMSE_LEAF_URL": f"{LOOPBACK}:{self.leaf_port}",
            "DIMSE_QUEUE_MIN_FREE_BYTES": "1000000",
        }

    def with_own_server(self) -> tuple[str, Mapping[str, str]]:
        """The same with the one that the document prints."""
        text = printed("leaf.conf").replace("the-hospital-s-password", "h%3A%2F%40spital%201")
        text = text.replace("hub.example.org:7422", f"{LOOPBACK}:{self.leaf_port}")
        text = text.replace("/var/lib/nats", str(self.folder / "leaf")).replace("100GB", "4GB")
        port = free_port()
        self.start("leaf.conf", text, port)
        user = {"DIMSE_NATS_USER": "proxy", "DIMSE_NATS_PASSWORD": PASSWORDS["PROXY_PASSWORD"]}
        return f"nats://{LOOPBACK}:{port}", user


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        made = Servers(tmp_path, stack)
        made.start_hub()
        yield made


@pytest.mark.parametrize("is_child", [True, False], ids=["child", "own server"])
def test_objects_are_taken_while_the_hub_is_away(servers: Servers, tmp_path: Path, is_child: bool) -> None:
    url, access = servers.with_child() if is_child else servers.with_own_server()
    cloud = {"DIMSE_NATS_USER": "cloud", "DIMSE_NATS_PASSWORD": PASSWORDS["CLOUD_PASSWORD"]}
    root = {"DIMSE_NATS_SUBJECT_ROOT": "DIMSE"}
    target = Target(port=free_port())
    pair = Pair(
        f"nats://{LOOPBACK}:{servers.port}",
        tmp_path / "pair",
        target_b=target,
        env_a=env_of_a({**root, **access, "DIMSE_NATS_URL": url}),
        env_b=env_of_b({**root, **cloud, "DIMSE_QUEUE_DOMAIN_IN": "A=leaf-A"}),
    )
    files = [dicom_files.write_object(tmp_path, patient_id=f"P{number}") for number in range(6)]
    store = Store()

    def send(first: int, last: int) -> None:
        with association(pair.a.port, offers(CTImageStorage)) as assoc:
            assert [store_raw(assoc, file) for file in files[first:last]] == [0x0000] * (last - first)

    with pair, Scp(target.port, offers(CTImageStorage), store.handlers()):
        pair.allowed_troubles = "leaf node"
        send(0, 2)
        wait_until(lambda: len(store.received) == 2, seconds=30, what="what is delivered through the domain")
        servers.stop_hub()
        pair.b.wait_for("NATS disconnected")
        if is_child:
            pair.a.wait_for("leaf node: no connection to its hub")
            (started,) = pair.a.find(r"leaf node: nats-server with JetStream")
            os.kill(int(str(started["event"]).rpartition(" ")[2]), 9)
            pair.a.wait_for("leaf node: nats-server runs again")
        send(2, 4)
        if is_child:
            # The subcommand speaks to the same server.
            command = [sys.executable, "-m", "dimse_proxy", "queue", "list", "--objects", "--json"]
            environ = {**os.environ, **pair.a.env}
            listed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60)
            assert all(file.sop_instance in listed.stdout for file in files[2:4])
        send(4, 6)
        servers.start_hub()
        wait_until(lambda: len(store.received) == 6, seconds=60, what="what waited for the hub")
        assert len(store.digests) == 6, "once each"
    assert store.received.keys() == {file.sop_instance for file in files}
    log = pair.a.process.output()
    assert "spital" not in log.replace("hospital", ""), "the password is in no line"
