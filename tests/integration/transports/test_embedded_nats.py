"""The nats-server that is a child of this process."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from dimse_proxy.errors import TransportError
from dimse_proxy.transports import embedded_nats
from dimse_proxy.transports.embedded_nats import ENVIRONMENT, EmbeddedNats
from dimse_proxy.transports.nats_link import NatsOptions
from tests.integration.peers.waiting import free_port
from tests.integration.transports.conftest import Run
from tests.integration.transports.link_user import running


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 5
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_serves_and_ends_without_a_trace(run: Run) -> None:
    async def main() -> None:
        async with EmbeddedNats() as server:
            assert server.port
            assert server.url == f"nats://127.0.0.1:{server.port}"
            pid, folder = server.pid, server._folder
            assert folder is not None
            async with running(NatsOptions(servers=[server.url]), "R.>") as (link, user):
                await user.until(lambda: user.is_connected)
                link.publish([("R.A", (b"x",))])
                await user.until(lambda: user.messages)
        assert not folder.exists()
        wait_for_end(pid)
        assert server.pid == 0
        await server.stop()

    run(main())


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("own", [None, "150"])
def test_collects_garbage_less_often_unless_told_otherwise(
    run: Run, monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    monkeypatch.delenv("GOGC", raising=False)
    if own is not None:
        monkeypatch.setenv("GOGC", own)

    async def main() -> None:
        async with EmbeddedNats() as server:
            assert f"GOGC={own or ENVIRONMENT['GOGC']}" in environment_of(server.pid)

    run(main())


def test_port_that_is_asked_for(run: Run) -> None:
    async def main() -> None:
        port = free_port()
        async with EmbeddedNats(port=port) as server:
            assert server.port == port
            with pytest.raises(TransportError, match=f"127.0.0.1:{port}: the port is in use"):
                await EmbeddedNats(port=port).start()
        # Free again: nothing of the failed one is left behind.
        async with EmbeddedNats("0.0.0.0", port) as server:
            assert server.url == f"nats://127.0.0.1:{port}"

    run(main())


def test_missing_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_nats, "BINARY", "no-such-nats-server")
    with pytest.raises(TransportError, match=r"install dimse-proxy\[embedded\]"):
        asyncio.run(EmbeddedNats().start())


def test_end_of_the_server_is_told(run: Run) -> None:
    async def main() -> None:
        async with EmbeddedNats() as server:
            ended = asyncio.create_task(server.wait())
            os.kill(server.pid, signal.SIGKILL)
            assert await ended == -signal.SIGKILL

    run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_ends_with_a_parent_that_is_killed() -> None:
    program = """
        import asyncio
        from dimse_proxy.transports.embedded_nats import ENVIRONMENT, EmbeddedNats

        async def main():
            server = EmbeddedNats()
            await server.start()
            print(server.pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    wait_for_end(pid)
