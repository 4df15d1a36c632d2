"""The proxy's own nats-server: a full disk, a store that is taken, a server that dies."""

import asyncio
import json
import logging
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import nats
import pytest
from nats import errors
from nats.aio.client import Client

from dimse_proxy.errors import TransportError
from dimse_proxy.transports import leaf_node
from dimse_proxy.transports.leaf_node import LeafAccess, LeafNode

SECONDS = 30


def made(store: Path, *, min_free: int = 1_000_000) -> LeafNode:
    def configuration(token: str) -> str:
        stored = {"store_dir": str(store), "domain": "leaf", "sync_interval": "always", "max_file_store": 1 << 30}
        return json.dumps({"authorization": {"token": token}, "jetstream": stored, "http": "127.0.0.1:-1"})

    return LeafNode(store, configuration, min_free=min_free)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def open_files(pid: int) -> list[str]:
    return [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]


async def stores(client: Client, subject: str, size: int) -> bool:
    try:
        answer = json.loads((await client.request(subject, bytes(size), timeout=1)).data)
    except (errors.TimeoutError, errors.NoRespondersError, errors.ConnectionClosedError):
        return False
    return "error" not in answer


async def until(is_true: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(10 * SECONDS):
        if await is_true():
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"waited {SECONDS} s in vain")


async def until_it_stores(client: Client, subject: str) -> None:
    await until(lambda: stores(client, subject, 10))


async def connected(node: LeafNode) -> Client:
    client = await nats.connect(
        node.access.url, token=node.access.token, reconnect_time_wait=0.1, max_reconnect_attempts=-1
    )
    config = {"name": "S", "subjects": ["s.>"], "storage": "file", "discard": "new", "max_bytes": 1 << 29}
    await client.request("$JS.API.STREAM.CREATE.S", json.dumps(config).encode())
    return client


def test_a_server_that_met_a_full_disk_is_restarted_once_there_is_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leaf_node, "_LOOK_INTERVAL", 0.1)
    caplog.set_level(logging.INFO)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(16 << 20))

    async def main() -> None:
        node = made(small_disk / "leaf", min_free=8 << 20)
        await node.start()
        keeping = asyncio.create_task(node.keep())
        client = await connected(node)
        stored = 0
        while await stores(client, f"s.{stored}", 500_000):
            stored += 1
        assert 5 < stored < 20

        async def is_told() -> bool:
            return "no space left" in caplog.text

        await until(is_told)
        pid = node.pid
        assert "is started again" not in caplog.text, "not before there is room"
        filler.unlink()
        await until_it_stores(client, "s.after")
        assert node.pid != pid
        info = json.loads((await client.request("$JS.API.STREAM.INFO.S")).data)
        assert info["state"]["messages"] == stored + 1, "nothing that was acknowledged is gone"
        await client.close()
        keeping.cancel()
        await node.stop()

    asyncio.run(main())


def test_it_is_started_again_on_the_same_port_and_nobody_else_gets_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(leaf_node, "_LOOK_INTERVAL", 0.1)
    monkeypatch.setattr(leaf_node, "_LOCK_TIMEOUT", 0.3)

    async def main() -> None:
        node = made(tmp_path / "leaf")
        await node.start()
        keeping = asyncio.create_task(node.keep())
        client, access = await connected(node), node.access
        with pytest.raises(TransportError, match="another nats-server uses it"):
            await made(tmp_path / "leaf").start()
        assert str(tmp_path / "leaf" / ".lock") in open_files(node.pid), (
            "so the store is its own even if this process is killed"
        )
        os.kill(node.pid, signal.SIGKILL)
        await until_it_stores(client, "s.1")
        assert node.access == access == LeafAccess.of(tmp_path / "leaf")
        await client.close()
        keeping.cancel()
        await node.stop()
        with pytest.raises(TransportError, match=r"access\.json: No such file.* while it runs"):
            LeafAccess.of(tmp_path / "leaf")
        again = made(tmp_path / "leaf")
        await again.start()
        await again.stop()
        with pytest.raises(TransportError, match="DIMSE_LEAF_STORE=/proc/no-such"):
            await made(Path("/proc/no-such/leaf")).start()

    asyncio.run(main())
    assert "nats-server is started again in 0.5 s: it has ended" in caplog.text
