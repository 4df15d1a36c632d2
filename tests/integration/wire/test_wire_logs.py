"""What the proxies log of associations: one line for each, its contexts, its messages, and never a patient's data."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.integration.peers.pair import LogLine
from tests.integration.peers.waiting import LOOPBACK, free_port
from tests.integration.wire import pdus
from tests.integration.wire.conftest import SIDES, Route
from tests.integration.wire.raw_peers import Connection

CONTEXTS: Final = (
    pdus.proposed(1, pdus.VERIFICATION, pdus.IMPLICIT)
    + pdus.proposed(3, pdus.CT_STORAGE, pdus.EXPLICIT, pdus.IMPLICIT)
    + pdus.proposed(5, pdus.STUDY_FIND, pdus.IMPLICIT)
    + pdus.proposed(7, "1.2.3.4.5.6.7", pdus.IMPLICIT)
)
SECRETS: Final = (b"MARKER^PATIENT", b"MARKER-PATIENT-ID", b"99.7.66.55.44", b"MARKERPASSCODE", b"MARKERTICKET")
"""A patient's name and ID, the UID of an instance, a passcode and a server's response."""


def release(scu: Connection, scp: Connection) -> None:
    """Released by the requestor, and closed."""
    scu.send(pdus.release_rq())
    scp.expect(pdus.RELEASE_RQ)
    scp.send(pdus.release_rp())
    scu.expect(pdus.RELEASE_RP)
    scu.close()
    scp.close()


def ended(route: Route) -> list[LogLine]:
    """The line of the association's end, on both sides."""
    return [route.wait_for_log(side, "association ended") for side in ("a", "b")]


def test_one_line_for_an_association(routes: Callable[[str], Route]) -> None:
    route = routes("rewriting")
    scu, scp = route.associate(pdus.rq(CONTEXTS))
    for number in range(3):
        data = pdus.data_pdus(bytes(1000 * (number + 1)), 3)
        scu.send(pdus.command_pdu(pdus.store_rq(number), 3), data)
        scp.expect_exactly(pdus.command_pdu(pdus.store_rq(number), 3) + data)
        scp.send(pdus.command_pdu(pdus.store_rsp(number, 0 if number else 0xA700), 3))
        scu.expect(pdus.P_DATA)
    scu.send(pdus.command_pdu(pdus.echo_rq(9)))
    scp.expect(pdus.P_DATA)
    scp.send(pdus.command_pdu(pdus.echo_rsp(9)))
    scu.expect(pdus.P_DATA)
    local = scu.socket.getsockname()[1]
    release(scu, scp)

    for line in ended(route):
        assert line["level"] == "info"
        assert line["calling"] == "RAWSCU"
        assert line["called"] == "RAWSCP"
        assert "C-STORE 3" in line["services"], line
        assert "6000 bytes" in line["services"], line
        assert "C-ECHO 1" in line["services"], line
        assert "failure 1" in line["services"], line
        assert 0 <= line["duration"] < 10
        assert "released" in line["outcome"]
    assert f"{LOOPBACK}:{local}" in str(ended(route)[0]["peer"])
    assert "OTHERSCP" in str(ended(route)[1]["target"])
    assert str(route.target_port) in str(ended(route)[1]["target"])
    for side in SIDES:
        about = [line for line in route.logged(side) if line.get("event") == "association ended"]
        assert len(about) == 1
        assert not [line for line in route.logged(side) if line.get("level") == "debug"]


def test_how_an_abort_is_logged(routes: Callable[[str], Route]) -> None:
    route = routes("plain")
    scu, scp = route.associate()
    scp.send(pdus.abort(2, 6))
    scu.expect(pdus.ABORT)
    scu.close()
    scp.close()
    for line in ended(route):
        assert "abort" in line["outcome"]
        assert "target" in line["outcome"] or "RAWSCP" in line["outcome"], line
        assert "6" in line["outcome"]


def test_one_line_for_a_refusal(routes: Callable[[str], Route]) -> None:
    route = routes("plain")
    scu, scp, _ = route.request(pdus.rq())
    scp.send(pdus.rj(1, 1, 7))
    scu.expect(pdus.RJ)
    scu.close()
    for side in SIDES:
        line = route.wait_for_log(side, "association refused", result=1, source=1, reason=7)
        assert line["level"] in ("info", "warning")
        assert (line["calling"], line["called"]) == ("RAWSCU", "RAWSCP")
        assert "target" in line["cause"]
    scp.expect_end()
    events = [line.get("event") for line in route.logged("a")]
    assert events.count("association refused") == 1
    assert "association ended" not in events


def test_debug_shows_every_context_and_message(routes: Callable[[str], Route]) -> None:
    route = routes("debug")
    scu, scp, seen = route.request(
        pdus.rq(CONTEXTS, pdus.USER + pdus.asynchronous_window(3, 4) + pdus.role(pdus.CT_STORAGE, 1, 1))
    )
    answers = pdus.answered(1, 0) + pdus.answered(3, 0, pdus.EXPLICIT) + pdus.answered(5, 0) + pdus.answered(7, 3)
    scp.send(pdus.ac(seen, pdus.APPLICATION + answers + pdus.item(0x50, pdus.maximum_length(12345))))
    scu.expect(pdus.AC)
    scu.send(pdus.command_pdu(pdus.store_rq(42), 3), pdus.data_pdus(bytes(500), 3))
    scp.read_data_set()
    scp.send(pdus.command_pdu(pdus.store_rsp(42, 0xB000), 3))
    scu.expect(pdus.P_DATA)
    release(scu, scp)
    ended(route)
    for side in SIDES:
        text = "\n".join(str(line.get("event")) for line in route.logged(side))
        for word in ("A-ASSOCIATE-RQ", "A-ASSOCIATE-AC", "RAW_PEER_1", "1.2.3.4.5", "12345"):
            assert word in text, (word, text)
        for name in ("CT Image Storage", "Verification", "1.2.3.4.5.6.7", "Explicit VR Little Endian"):
            assert text.count(name) >= 2, (name, text)
        for word in ("C-STORE-RQ", "C-STORE-RSP", "42", "B000"):
            assert word in text, (word, text)


def test_refused_context_and_by_whom_is_seen_at_the_normal_level(routes: Callable[[str], Route]) -> None:
    route = routes("plain")
    scu, scp, seen = route.request(pdus.rq(CONTEXTS))
    answers = pdus.answered(1, 0) + pdus.answered(3, 4) + pdus.answered(5, 0) + pdus.answered(7, 3)
    scp.send(pdus.ac(seen, pdus.APPLICATION + answers + pdus.item(0x50, pdus.USER)))
    scu.expect(pdus.AC)
    release(scu, scp)
    ended(route)
    for side in SIDES:
        lines = [line for line in route.logged(side) if line.get("event") == "presentation contexts refused"]
        assert len(lines) == 1
        assert lines[0]["by"] in (("the target",) if side == "b" else ("the target", "the other side")), lines[0]
        contexts = lines[0]["contexts"]
        assert any("CT Image Storage" in each and "transfer syntax" in each for each in contexts), contexts
        assert any("1.2.3.4.5.6.7" in each and "abstract syntax" in each for each in contexts), contexts
        assert len(contexts) == 2


def test_nothing_of_a_patient_or_a_credential_is_logged_at_any_level(routes: Callable[[str], Route]) -> None:
    name, number, instance, passcode, ticket = SECRETS
    route = routes("debug")
    scu, scp, seen = route.request(pdus.rq(CONTEXTS, pdus.USER + pdus.identity(2, b"someone", passcode)))
    user = pdus.item(0x50, pdus.USER + pdus.identity_response(ticket))
    scp.send(pdus.ac(seen, pdus.APPLICATION + pdus.accept_all(seen) + user))
    scu.expect(pdus.AC)
    uid = instance.decode()
    data = (
        pdus.element(0x00100010, name)
        + pdus.element(0x00100020, number + b" ")
        + pdus.element(0x00080018, instance + b"\0")
    )
    scu.send(pdus.command_pdu(pdus.store_rq(1, uid), 3), pdus.data_pdus(data, 3))
    assert scp.read_data_set() == data
    comment = pdus.response(
        0x8001, pdus.CT_STORAGE, 1, 0xC000, (0x1000, pdus.ui(uid)), (0x0902, name + b" is not in the list ")
    )
    scp.send(pdus.command_pdu(comment, 3))
    scu.expect(pdus.P_DATA)
    scu.send(pdus.command_pdu(pdus.find_rq(2), 5), pdus.data_pdus(data, 5))
    assert scp.read_data_set() == data
    scp.send(pdus.command_pdu(pdus.find_rsp(2, 0xFF00, data=True), 5), pdus.data_pdus(data, 5))
    assert scu.read_data_set() == data

    # And what is logged when something is wrong, in the middle of it.
    scu.send(pdus.p_data(b"\0\0\0\0" + name))
    scu.expect(pdus.ABORT)
    scu.close()
    scp.close()
    ended(route)
    with route.call() as stranger:
        stranger.send(b"POST /" + name + b" HTTP/1.1\r\n\r\n" + number)
        stranger.expect(pdus.ABORT)
    for side in SIDES:
        output = route.proxy(side).process.output()
        assert "C-STORE-RQ" in output
        for secret in SECRETS:
            assert secret.decode() not in output, [line for line in output.splitlines() if secret.decode() in line]


def proxy_environment(folder: Path) -> dict[str, str]:
    """Of a proxy that waits for NATS."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("DIMSE_")},
        "DIMSE_NATS_URL": f"{LOOPBACK}:{free_port()}",
        "DIMSE_HOST": LOOPBACK,
        "DIMSE_PORT": str(free_port()),
        "DIMSE_HTTP_PORT": "",
        "DIMSE_CONFIG_PATH": str(folder / "no-dimse-config"),
        "TERM": "xterm",
    }


def output_up_to(text: str, reader: int, *, seconds: float = 10) -> str:
    """What comes out of `reader` until `text` has come."""
    deadline = time.monotonic() + seconds
    found = b""
    while text.encode() not in found:
        assert time.monotonic() < deadline, found.decode()
        if select.select([reader], [], [], 0.1)[0]:
            found += os.read(reader, 65536)
    return found.decode()


@pytest.mark.parametrize("terminal", [True, False])
def test_text_for_a_terminal_and_json_when_not(tmp_path: Path, terminal: bool) -> None:
    reader, writer = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "dimse_proxy", "run"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=writer,
        env=proxy_environment(tmp_path),
        cwd=tmp_path,
    )
    try:
        text = output_up_to("ready", reader)
    finally:
        process.terminate()
        process.wait(10)
        os.close(reader)
        os.close(writer)
    first = text.splitlines()[0]
    if terminal:
        assert not first.lstrip().startswith("{")
    else:
        line = json.loads(first)
        assert line["level"]
        assert line["event"]
