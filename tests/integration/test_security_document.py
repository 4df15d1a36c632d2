"""The nats-server configurations that docs/security.md prints: the pair works with them, and nobody else gets in."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import nats
import pytest
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dimse_proxy.config.nkeys import read_credentials
from tests.integration.peers.documented_nats import PASSWORDS, Servers, printed
from tests.integration.peers.nats_jwt import Account, Operator
from tests.integration.peers.pair import Pair, Target
from tests.integration.peers.pynetdicom_peers import Scp, association, offers
from tests.integration.peers.waiting import LOOPBACK, free_port, wait_until

A: Final = {"subscribe": "DIMSE.A.>", "publish": "DIMSE.B.A.>"}
B: Final = {"subscribe": "DIMSE.B.>", "publish": "DIMSE.A.B.>"}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    made = Servers(tmp_path)
    with made.stack:
        yield made


def echo_through(folder: Path, env_a: Mapping[str, str], env_b: Mapping[str, str]) -> Pair:
    """A pair on subject root DIMSE; C-ECHO passes in both directions. The caller stops it."""
    root = {"DIMSE_NATS_SUBJECT_ROOT": "DIMSE"}
    pair = Pair(
        env_a["DIMSE_NATS_URL"],
        folder,
        target_a=Target(port=free_port()),
        target_b=Target(port=free_port()),
        env_a={**root, **env_a},
        env_b={**root, **env_b},
    )
    echo(pair)
    return pair


def echo(pair: Pair) -> None:
    assert pair.target_a is not None
    assert pair.target_b is not None
    for port, target in ((pair.a.port, pair.target_b), (pair.b.port, pair.target_a)):
        with Scp(target.port, offers(Verification), []), association(port, offers(Verification)) as assoc:
            assert assoc.send_c_echo().Status == 0


async def intrude(pair: Pair, subscribe: list[str], publish: list[str], **connect: Any) -> tuple[list[str], list[str]]:
    """Listens and speaks while a C-ECHO passes; returns subjects that were heard, and what the server objected to."""
    heard: list[str] = []
    objections: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.subject)

    async def object_to(error: Exception) -> None:
        objections.append(str(error).lower())

    client = await nats.connect(error_cb=object_to, allow_reconnect=False, **connect)
    try:
        for subject in subscribe:
            await client.subscribe(subject, cb=hear)
        for subject in publish:
            await client.publish(subject, b'{"instance":"intruder","epoch":"1","protocols":[1],"accepts":true}')
        await client.flush()
        await asyncio.to_thread(echo, pair)
        await client.flush()
        for _ in range(200):
            if len(objections) >= len(publish):
                break
            await asyncio.sleep(0.01)
    finally:
        await client.close()
    return heard, objections


def presented(env: Mapping[str, str]) -> dict[str, Any]:
    """What nats-py is given of a credentials file (it would need another library to read it itself)."""
    jwt, key = read_credentials(Path(env["DIMSE_NATS_CREDS_FILE"]).read_text())
    return {
        "user_jwt_cb": lambda: bytearray(jwt.encode()),
        "signature_cb": lambda nonce: base64.b64encode(key.sign(nonce.encode())),
    }


FOREIGN_OF_A: Final = ["DIMSE.>", "DIMSE.B.>", "DIMSE.B.*.hello", ">", "_INBOX.>"]
SPOKEN_AS_B: Final = ["DIMSE.A.B.hello", "DIMSE.A.B.i.x", "DIMSE.A.A.hello", "DIMSE.B.B.hello"]


async def check_no_intruder_of_a(pair: Pair, **connect: Any) -> None:
    """Whoever has the hospital's credential reads nothing that is for the cloud, and cannot speak as the cloud."""
    heard, objections = await intrude(pair, FOREIGN_OF_A, SPOKEN_AS_B, **connect)
    assert heard == []
    refused = " ".join(objections)
    assert all(f'"{subject}"'.lower() in refused for subject in FOREIGN_OF_A + SPOKEN_AS_B), objections
    for proxy in pair.proxies():
        assert not proxy.find("intruder")
        assert len(proxy.find("peer appeared")) == 1


async def test_one_account_two_users(servers: Servers, tmp_path: Path) -> None:
    url = f"nats://{LOOPBACK}:{servers.start('one-account.conf', printed('one-account.conf'))}"
    hospital = {"DIMSE_NATS_URL": url, "DIMSE_NATS_USER": "hospital", "DIMSE_NATS_PASSWORD": "hospital-1"}
    cloud = {"DIMSE_NATS_URL": url, "DIMSE_NATS_USER": "cloud", "DIMSE_NATS_PASSWORD": "cloud-1"}
    pair = await asyncio.to_thread(echo_through, tmp_path, hospital, cloud)
    try:
        await check_no_intruder_of_a(pair, servers=[url], user="hospital", password="hospital-1")
    finally:
        await asyncio.to_thread(pair.stop)


async def test_accounts_in_operator_mode(servers: Servers, tmp_path: Path) -> None:
    operator = Operator()
    imaging, other = Account(operator, "imaging"), Account(operator, "other")
    text = printed("operator.conf")
    for word, value in (
        ("OPERATOR_JWT", operator.jwt),
        ("ACCOUNT", imaging.keys.public),
        ("ACCOUNT_JWT", imaging.jwt),
        ("OTHER_ACCOUNT", other.keys.public),
        ("OTHER_ACCOUNT_JWT", other.jwt),
    ):
        text = text.replace(f"<{word}>", value)
    url = f"nats://{LOOPBACK}:{servers.start('operator.conf', text)}"

    def user(account: Account, name: str, permission: Mapping[str, str]) -> dict[str, str]:
        subscribe, publish = [permission["subscribe"]], [permission["publish"]]
        path = account.user(tmp_path / f"{name}.creds", subscribe=subscribe, publish=publish)
        return {"DIMSE_NATS_URL": url, "DIMSE_NATS_CREDS_FILE": str(path)}

    hospital, cloud = user(imaging, "hospital", A), user(imaging, "cloud", B)
    everything = {"subscribe": ">", "publish": ">"}
    stranger = user(other, "stranger", everything)
    other_a, other_b = user(other, "other-hospital", A), user(other, "other-cloud", B)
    pair = await asyncio.to_thread(echo_through, tmp_path, hospital, cloud)
    try:
        await check_no_intruder_of_a(pair, servers=[url], **presented(hospital))
        heard, _ = await intrude(pair, ["DIMSE.>"], ["DIMSE.A.B.hello"], servers=[url], **presented(stranger))
        assert set(heard) == {"DIMSE.A.B.hello"}, "its own message, within its own account"
        folder = tmp_path / "other"
        folder.mkdir()
        others = await asyncio.to_thread(echo_through, folder, other_a, other_b)
        try:
            assert all(len(proxy.find("peer appeared")) == 1 for proxy in (*pair.proxies(), *others.proxies()))
        finally:
            await asyncio.to_thread(others.stop)
        await asyncio.to_thread(echo, pair)
    finally:
        await asyncio.to_thread(pair.stop)


async def test_a_leaf_node_in_the_hospital(servers: Servers, tmp_path: Path) -> None:
    leaf_port = free_port()
    hub_text = printed("hub.conf").replace(
        "leafnodes { port: 7422 }", f'leafnodes {{ host: "{LOOPBACK}", port: {leaf_port} }}'
    )
    assert str(leaf_port) in hub_text
    hub_url = f"nats://{LOOPBACK}:{servers.start('hub.conf', hub_text)}"
    leaf_text = printed("leaf.conf")
    for word, value in (
        ("the-hospital-s-password", PASSWORDS["HOSPITAL_PASSWORD"]),
        ("hub.example.org:7422", f"{LOOPBACK}:{leaf_port}"),
    ):
        assert word in leaf_text
        leaf_text = leaf_text.replace(word, value)
    leaf_url = f"nats://{LOOPBACK}:{servers.start('leaf.conf', leaf_text)}"
    log = tmp_path / "leaf.conf.err"
    wait_until(lambda: "Leafnode connection created" in log.read_text(), seconds=10, what="the leaf node")
    hospital = {"DIMSE_NATS_URL": leaf_url, "DIMSE_NATS_USER": "proxy", "DIMSE_NATS_PASSWORD": "proxy-1"}
    cloud = {"DIMSE_NATS_URL": hub_url, "DIMSE_NATS_USER": "cloud", "DIMSE_NATS_PASSWORD": "cloud-1"}
    pair = await asyncio.to_thread(echo_through, tmp_path, hospital, cloud)
    try:
        await check_no_intruder_of_a(pair, servers=[leaf_url], user="proxy", password="proxy-1")
        await check_no_intruder_of_a(pair, servers=[hub_url], user="hospital", password="hospital-1")
    finally:
        await asyncio.to_thread(pair.stop)
