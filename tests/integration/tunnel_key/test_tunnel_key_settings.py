"""Keys that differ, keys that are exchanged, and identities that cross without one."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.integration.peers import dcmtk, dicom_files
from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import free_port
from tests.integration.tunnel_key.conftest import ASKER_AE, TARGET_AE, ProxiesFactory, new_key

ONE, TWO = new_key(), new_key()
MISMATCH = r"the proxies on channel {} use another tunnel key \(DIMSE_TUNNEL_KEY\)"


def echo(port: int) -> dcmtk.Result:
    return dcmtk.scu("echoscu", port, called=TARGET_AE, calling=ASKER_AE)


@pytest.mark.parametrize(
    ("key_a", "key_b"), [(ONE, TWO), (ONE, ""), ("", ONE)], ids=["other", "none at B", "none at A"]
)
def test_keys_that_differ_are_named_and_rejected(make_proxies: ProxiesFactory, key_a: str, key_b: str) -> None:
    a, b = make_proxies(key_a, key_b, free_port())
    for proxy, channel in ((a, "B"), (b, "A")):
        (line,) = proxy.wait_for("peer refused")
        assert line["level"] == "warning"
        assert proxy.find(MISMATCH.format(channel))
        result = echo(proxy.port)
        assert result.code != 0
        assert "Rejected Transient" in result.output
        (line,) = proxy.wait_for('"association refused"')
        assert (line["result"], line["source"], line["reason"]) == (2, 3, 1)
        assert line["code"] == "key-mismatch"
        assert proxy.find(r'"cause": "' + MISMATCH.format(channel))
        assert proxy.find("peer appeared") == []


@pytest.mark.parametrize(
    ("key_a", "key_b"),
    [(f"{TWO},{ONE}", ONE), (ONE, f"{TWO}\n{ONE}\n"), (f"{ONE},{TWO}", f"{TWO},{ONE}"), (bytes(range(32)).hex(), None)],
    ids=["A has both", "B has both", "both in other orders", "hexadecimal, from a file"],
)
def test_keys_are_exchanged_one_side_at_a_time(
    make_proxies: ProxiesFactory, tmp_path: Path, key_a: str, key_b: str | None
) -> None:
    more = {}
    if key_b is None:
        secret = tmp_path / "tunnel-key"
        secret.write_text(f"{key_a}\n")
        key_a = key_b = ""
        more = {"DIMSE_TUNNEL_KEY_FILE": str(secret)}
    scp_port = free_port()
    a, b = make_proxies(key_a, key_b, scp_port, **more)
    for proxy in (a, b):
        proxy.wait_for("peer appeared")
        assert proxy.find("peer refused") == []
    files = [dicom_files.write_object(tmp_path / "objects", patient_id="P1", pixel_bytes=65280) for _ in range(20)]
    with dcmtk.storescp(scp_port, tmp_path / "scp", ae=TARGET_AE):
        paths = [file.path for file in files]
        dcmtk.scu("storescu", a.port, "-xe", files=paths, called=TARGET_AE, calling=ASKER_AE).ok()
    received = dicom_files.received(tmp_path / "scp" / "received")
    assert dicom_files.digests(received) == dicom_files.digests(files)


@pytest.mark.parametrize("key", ["", ONE], ids=["plain", "sealed"])
def test_a_user_identity_passes_and_is_one_warning_without_key(
    make_proxies: ProxiesFactory, tmp_path: Path, key: str
) -> None:
    scp_port = free_port()
    a, b = make_proxies(key, key, scp_port, DIMSE_LOG_LEVEL="DEBUG")
    a.wait_for("peer appeared")
    file = dicom_files.write_object(tmp_path / "objects", patient_id="P1")
    with dcmtk.storescp(scp_port, tmp_path / "scp", "-d", ae=TARGET_AE) as scp:
        for _ in range(2):
            options = ("-xe", "-usr", "joe-marker", "-pwd", "hunter2-marker")
            dcmtk.scu("storescu", a.port, *options, files=[file.path], called=TARGET_AE, calling=ASKER_AE).ok()
        assert "joe-marker" in scp.log()
    for proxy in (a, b):
        found = proxy.find("user identity without tunnel key")
        assert len(found) == (0 if key else 1)
        assert "marker" not in json.dumps(proxy.log_lines()).replace(str(tmp_path), "")


def test_a_wrong_key_stops_the_start_without_being_shown(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DIMSE_")}
    environment |= {"DIMSE_NATS_URL": "127.0.0.1:1", "DIMSE_TUNNEL_KEY": "hunter2-hunter2-hunter2"}
    process = ChildProcess("proxy", [sys.executable, "-m", "dimse_proxy", "run"], tmp_path, env=environment)
    assert process.wait(seconds=20) == 2
    assert "DIMSE_TUNNEL_KEY (environment)" in process.output()
    assert "openssl rand -base64 32" in process.output()
    assert "hunter2" not in process.output()
