"""Faults of the connection itself: full buffers, secrets, permissions, and outages that last too long."""

import base64
import json
import threading
import time
from pathlib import Path

import pytest

from tests.chaos.auth_service import AuthService
from tests.chaos.bench import SIDES, Bench
from tests.chaos.faults import say
from tests.chaos.scale import timeout
from tests.chaos.stream import AbortedError, Association, RefusedError
from tests.integration.peers.waiting import wait_until

TOO_LONG = 3
"""Resume time-out of the tests in which it passes, seconds."""

FULL = 100_000
"""Bytes that wait in the kernel when a proxy's write buffers are full."""


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_black_hole_with_full_write_buffers(tmp_path: Path) -> None:
    """The proxy finds out by itself, drops what it could not send, and sends it again over a new connection."""
    with Bench(tmp_path) as bench:
        bench.start_load()
        bench.wait_until_moving()
        node = bench.node("A")
        node.link.limit(2e6)  # slower than what comes, so that it queues up
        wait_until(lambda: bench.unsent(node) > FULL, seconds=30, what="bytes to wait in the kernel")
        node.link.swallow()
        unsent: list[int] = []

        def is_given_up() -> bool:
            unsent.append(bench.unsent(node))
            return bool(node.proxy.find("NATS server has been silent"))

        wait_until(is_given_up, seconds=20, what="the proxy to give the server up")
        node.link.heal()
        bench.wait_until_moving()
        totals = bench.finish()
        say(f"black hole, up to {max(unsent)} bytes unsent in the kernel: {totals.line(1)}")
        bench.check_logs()
    assert max(unsent) > FULL
    totals.check()


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_secret_rotated_by_reload(tmp_path: Path) -> None:
    """The secret's file is replaced and the server reloaded: everybody is thrown out, and let in with the new one."""
    secret = tmp_path / "token"
    secret.write_text("first")
    with Bench(
        tmp_path,
        config={"authorization": {"token": "first"}},
        env={"DIMSE_NATS_AUTH_TOKEN_FILE": str(secret)},
    ) as bench:
        bench.start_load()
        rotations = ("second", "third", "fourth")
        for number, token in enumerate(rotations, start=1):
            bench.wait_until_moving()
            secret.write_text(token)
            bench.servers.all[0].reload(authorization={"token": token})
            for node in bench.nodes.values():
                node.proxy.wait_for("NATS disconnected")
                wait_until(
                    lambda node=node, number=number: len(node.proxy.find('"NATS connected"')) > number,  # type: ignore[misc]
                    seconds=20,
                    what=f"{node.name} to be let in with the new secret",
                )
        bench.wait_until_moving()
        totals = bench.finish()
        say(f"secret rotated: {totals.line(len(rotations))}")
        bench.check_logs()
    totals.check()


@pytest.mark.slow
@pytest.mark.timeout(timeout(120))
def test_authentication_that_expires_during_a_transfer(tmp_path: Path) -> None:
    """The server lets the proxies in for five seconds at a time, and ends their connections when these are over."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "system:serviceaccount:imaging:proxy"}).encode())
    token = ".".join((base64.urlsafe_b64encode(b"{}").decode(), claims.decode().rstrip("="), "c2ln"))
    with Bench(tmp_path, start=False, env={"DIMSE_NATS_AUTH_TOKEN": token}) as bench:
        server = bench.servers.all[0]
        service = AuthService(
            lambda: f"nats://127.0.0.1:{server.port}",
            seconds=5,
            is_welcome=lambda user, password: (user, password) == ("proxy", token),
        )
        server.kill()
        server.config["authorization"] = service.config()
        server.start()
        with service:
            for side in SIDES:
                bench.add(side, f"{side.lower()}1")
            bench.wait_for_peers()
            bench.start_load()
            wait_until(
                lambda: all(len(node.proxy.find('"NATS connected"')) > 3 for node in bench.nodes.values()),
                seconds=60,
                what="each proxy to be let in three times more",
            )
            bench.wait_until_moving()
            totals = bench.finish()
        say(f"authentication expired, {service.granted} times let in: {totals.line(service.granted - 2)}")
        bench.check_logs()
        assert bench.node("A").proxy.find("authentication expired")
    totals.check()


@pytest.mark.slow
@pytest.mark.timeout(timeout(90))
def test_outage_longer_than_the_resume_time_out(tmp_path: Path) -> None:
    """Both ends get A-ABORT, sockets and sessions are freed, and the next association works."""
    with Bench(tmp_path, env={"DIMSE_RESUME_TIMEOUTSECONDS": str(TOO_LONG)}) as bench:
        with Association(bench.port("A")) as warm_up:
            warm_up.echo()
        files = {name: node.proxy.process.open_files() for name, node in bench.nodes.items()}
        idle, finding = Association(bench.port("A")), Association(bench.port("B"))
        ends: list[str] = []

        def find() -> None:
            with pytest.raises(AbortedError) as caught:
                finding.find(200, 0.05)
            ends.append(str(caught.value))

        thread = threading.Thread(target=find)
        thread.start()
        bench.start_load(associations=4, least=5_000_000, find=None, move=None, sides=("A",), rate=5e6)
        wait_until(lambda: bench.sites["B"].figure("received") > 5_000_000, seconds=30, what="the load to move")
        bench.servers.all[0].kill()
        with pytest.raises(AbortedError, match="A-ABORT source 2 reason 0"):
            idle.read_pdu()
        thread.join(30)
        assert ends == ["A-ABORT source 2 reason 0"]
        wait_until(lambda: bench.sites["A"].figure("aborted") == 4, seconds=30, what="the C-STOREs to be aborted")
        time.sleep(1)
        bench.servers.all[0].start()
        idle.close()
        finding.close()
        bench.wait_until_moves("B")
        wait_until(
            lambda: sum(bench.sites[side].figure("ended_at_scp") for side in SIDES) == 6,
            seconds=30,
            what="all SCPs to be told",
        )
        totals = bench.finish()
        ended_at_scps = bench.accounts["A"].ended_at_scp + bench.accounts["B"].ended_at_scp
        bench.check_logs()
        assert ended_at_scps == ["A-ABORT source 2 reason 0"] * 6
        assert set(totals.aborted_texts) == {"A-ABORT source 2 reason 0"}
        totals.check(aborts_allowed=True)
        for name, node in bench.nodes.items():
            wait_until(
                lambda node=node, name=name: node.proxy.process.open_files() <= files[name],  # type: ignore[misc]
                seconds=40,
                what=f"{name} to have closed its sockets",
            )


@pytest.mark.slow
@pytest.mark.timeout(timeout(60))
def test_stop_with_connections_still_arriving(tmp_path: Path) -> None:
    """From the signal until the end, whoever asks is told "transient", and what runs comes to its end."""
    with Bench(tmp_path, env={"DIMSE_GRACE_TIMEOUTSECONDS": "20"}) as bench:
        proxy = bench.node("A").proxy
        answers: list[str] = []
        is_over = threading.Event()

        def ask() -> None:
            while not is_over.is_set():
                try:
                    with Association(proxy.port) as association:
                        association.echo()
                    answers.append("accepted")
                except RefusedError as error:
                    answers.append(f"refused {error.args}")
                    time.sleep(0.005)
                except (AbortedError, OSError) as error:
                    answers.append(f"wrong: {error}")

        askers = [threading.Thread(target=ask) for _ in range(4)]
        with Association(proxy.port) as running:
            for asker in askers:
                asker.start()
            wait_until(lambda: answers.count("accepted") > 50, seconds=20, what="associations before the signal")
            proxy.process.popen.terminate()
            wait_until(lambda: len(answers) > 500, seconds=20, what="associations after it")
            running.echo()
            sent = {"1.2.3": running.store("1.2.3", 5_000_000)}
            is_over.set()
            for asker in askers:
                asker.join(30)
        assert proxy.process.popen.wait(20) == 0
        kinds = sorted(set(answers))
        say(f"stopped with connections arriving: {', '.join(f'{kind}: {answers.count(kind)}' for kind in kinds)}")
        bench.finish(sent=sent).check()
        assert kinds == ["accepted", "refused (2, 3, 1)"], "transient, presentation related, temporary congestion"
        bench.check_logs()


def users(**permissions: object) -> dict[str, object]:
    """A configuration in which everybody is the user `proxy`, with these permissions."""
    user = {"user": "proxy", "password": "right", "permissions": permissions}
    return {"authorization": {"users": [user]}, "no_auth_user": "proxy"}


@pytest.mark.slow
@pytest.mark.timeout(timeout(60))
@pytest.mark.parametrize(
    ("config", "token", "expected"),
    [
        ({"authorization": {"token": "right"}}, "wrong", "does not accept our credentials"),
        (users(subscribe={"allow": ["OTHER.A.>"]}), None, "does not let this user subscribe to"),
        (users(publish={"allow": ["OTHER.B.A.>"]}), None, "does not let this user publish to"),
    ],
    ids=["wrong secret", "may not subscribe", "may not publish"],
)
def test_refusals_of_the_server_are_told_at_once(
    tmp_path: Path, config: dict[str, object], token: str | None, expected: str
) -> None:
    """Told as what they are, as an error, within seconds. Who is never let in stops; who may not publish refuses."""
    with Bench(tmp_path, start=False, config=config) as bench:
        env = {} if token is None else {"DIMSE_NATS_AUTH_TOKEN": token}
        node = bench.add("A", "a1", **env)
        found = node.proxy.wait_for(expected, seconds=5)
        assert found[0]["level"] == "error"
        if "publish" not in expected:
            assert node.proxy.process.popen.wait(10) == 1
            assert f"stopped: the NATS server {expected}" in node.proxy.process.output()
            return
        begun = time.monotonic()
        with pytest.raises(RefusedError) as caught:
            Association(node.proxy.port)
        assert time.monotonic() - begun < 5
        assert caught.value.args[0] == 2, "transient"
        bench.check_logs()
