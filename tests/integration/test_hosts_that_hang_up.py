"""A target of several hosts, some of which take a connection and close it without a word: the next one is asked."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.integration.peers import dcmtk
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.sites import Sites
from tests.integration.peers.waiting import LOOPBACK, free_port

MANNERS = ("at-once", "asked", "reset")


@contextlib.contextmanager
def hanging_up(manner: str) -> Iterator[int]:
    """A port that closes each connection: at once, when it has been asked, or by a reset."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if manner != "at-once":
                        connection.recv(65536)
                    if manner == "reset":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture(scope="module")
def sites(nats_server: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    archive, rejecting = free_port(), free_port()
    folder = tmp_path_factory.mktemp("hosts")
    with contextlib.ExitStack() as stack:
        ports = {manner: stack.enter_context(hanging_up(manner)) for manner in MANNERS}
        stack.enter_context(dcmtk.storescp(archive, folder / "archive"))
        stack.enter_context(dcmtk.storescp(rejecting, folder / "rejecting", "--refuse"))
        hosts = {manner: [port, archive] for manner, port in ports.items()}
        hosts["nobody"] = [ports["asked"], ports["reset"]]
        hosts["rejects"] = [rejecting, archive]
        text = 'channels = "HUB"\n'
        for name, tried in hosts.items():
            listed = ", ".join(f'"{LOOPBACK}:{port}"' for port in tried)
            text += f'[[target]]\nasked_for = "{name.upper()}"\nhosts = [{listed}]\n'
        made = stack.enter_context(Sites(nats_server.url, folder))
        made.start("SITE", text)
        made.start("HUB", 'channels = "SITE"\n[[local]]\ncalled = "*"\n')
        made.wait_for_peers("HUB", ["SITE"])
        yield made


@pytest.mark.parametrize("manner", MANNERS)
def test_the_next_host_is_asked(sites: Sites, manner: str) -> None:
    called = manner.upper()
    for _ in range(2):
        dcmtk.scu("echoscu", sites["HUB"].port, called=called).ok()
    said = sites["SITE"].find(f"{called}.*cannot be had.*without answering")
    assert len(said) == 1, "a host that is down is said once"


def test_no_host_answers(sites: Sites) -> None:
    result = dcmtk.scu("echoscu", sites["HUB"].port, called="NOBODY")
    assert "Rejected Transient" in result.output, result.output
    (line,) = sites["HUB"].wait_for("association refused.*without answering the A-ASSOCIATE-RQ")
    assert line["called"] == "NOBODY"


def test_an_answer_is_final(sites: Sites) -> None:
    result = dcmtk.scu("echoscu", sites["HUB"].port, called="REJECTS")
    assert "Rejected" in result.output, result.output
    assert not sites["SITE"].find("REJECTS.*cannot be had")
