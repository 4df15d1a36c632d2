"""The status page in a real browser: live, right, quiet on the console, and usable without scripts.

Screenshots go to DIMSE_SCREENSHOTS when that is set: `docs/images` keeps those that the README shows.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.integration.observability.chromium import BINARY, Tab, browser_tab
from tests.integration.observability.conftest import TOKEN, Watched
from tests.integration.peers.bulk import BulkScp, BulkScu
from tests.integration.peers.nats import NatsServer
from tests.integration.peers.pair import Pair
from tests.integration.peers.pynetdicom_peers import Scp, offers, request
from tests.integration.wire import pdus
from tests.integration.wire.raw_peers import Acceptor, connect

pytestmark = pytest.mark.skipif(BINARY is None, reason="chromium is not installed")

LIVE = "document.getElementById('live').innerText"
ENDED = "document.getElementById('ended').innerText"
READY = "document.getElementById('ready').innerText"
PARTS = "document.getElementById('parts').innerText"


@pytest.fixture
async def tab(tmp_path: Path) -> AsyncIterator[Tab]:
    async with browser_tab(tmp_path) as tab:
        await tab.appearance()
        yield tab


async def photograph(tab: Tab, name: str) -> None:
    if folder := os.environ.get("DIMSE_SCREENSHOTS"):
        await tab.screenshot(Path(folder) / f"{name}.png")


class Transfer:
    """Stores objects, one after the other, until it is told to stop."""

    def __init__(self, port: int, frames: int) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(port, frames))
        self._thread.start()

    def _run(self, port: int, frames: int) -> None:
        with BulkScu(port) as scu:
            while not self._stop.is_set():
                scu.store(frames)
                time.sleep(0.05)

    async def stop(self) -> None:
        self._stop.set()
        await asyncio.to_thread(self._thread.join)


@pytest.mark.slow
@pytest.mark.alone
async def test_an_object_under_way_is_shown_within_a_second_and_so_is_its_end(watched: Watched, tab: Tab) -> None:
    """From the first byte of the object; it is one that does not come to its end by itself."""
    await tab.open(watched.http_a.url)
    await tab.until("document.getElementById('link').innerText === 'live'", seconds=3)
    with Acceptor(watched.target_port) as target, connect(watched.pair.a.port) as scu:
        scu.send(pdus.rq(pdus.proposed(1, pdus.CT_STORAGE, pdus.EXPLICIT)))
        with target.accept() as scp:
            scp.send(pdus.simple_ac(scp.expect(pdus.RQ)))
            scu.expect(pdus.AC)
            scu.send(
                pdus.command_pdu(pdus.store_rq(), 1), pdus.p_data(pdus.pdv(1, bytes(8192), command=False, last=False))
            )
            assert await tab.until(f"{LIVE}.includes('C-STORE under way')", seconds=5) < 1
            scu.send(pdus.p_data(pdus.pdv(1, bytes(8192), command=False, last=True)))
            await tab.until(f"{LIVE}.includes('no answer to C-STORE 1 from the other side for 2')", seconds=10)
            scp.reset()
            assert await tab.until(f"{ENDED}.includes('lost')", seconds=5) < 1
        ended = await tab.run(ENDED)
    assert f"connection to the target TARGET@127.0.0.1:{watched.target_port} lost" in ended
    assert "unanswered: C-STORE 1 of 16384 bytes" in ended
    assert tab.complaints == []


@pytest.mark.slow
@pytest.mark.alone
async def test_a_transfer_is_seen_within_a_second_and_so_is_its_end(watched: Watched, tab: Tab) -> None:
    await tab.open(watched.http_a.url)
    await tab.until("document.getElementById('link').innerText === 'live'", seconds=3)
    await tab.until(f"{READY} === 'ready'", seconds=3)
    await photograph(tab, "status-healthy")
    with BulkScp(watched.target_port, maximum_length=65536):
        transfers = [Transfer(watched.pair.a.port, frames) for frames in (1, 4, 20)]
        assert await tab.until(f"{LIVE}.includes('C-STORE')", seconds=5) < 1
        await tab.until("!document.getElementById('live').innerText.includes(' 0 B/s')", seconds=5)
        if "DIMSE_SCREENSHOTS" in os.environ:
            await asyncio.sleep(31)  # for some points of the graph
        await photograph(tab, "status-busy")
        await tab.appearance(scheme="dark")
        await photograph(tab, "status-busy-dark")
        await tab.appearance(width=420)
        await photograph(tab, "status-narrow")
        await tab.appearance()
        await transfers[0].stop()
        assert await tab.until(f"{ENDED}.includes('released')", seconds=5) < 1
        for transfer in transfers[1:]:
            await transfer.stop()
    refused = await asyncio.to_thread(request, watched.pair.a.port, offers(Verification))
    assert refused.is_rejected
    await tab.until(f"{ENDED}.includes('connection refused by')", seconds=1)
    assert tab.complaints == []


@pytest.mark.slow
@pytest.mark.alone
async def test_nats_down_is_red_with_the_reason_and_comes_back(watched: Watched, tab: Tab) -> None:
    await tab.open(watched.http_a.url)
    await tab.until(f"{READY} === 'ready'", seconds=3)
    await asyncio.to_thread(watched.nats.stop)
    await tab.until(f"{READY} === 'not ready'", seconds=2)
    await tab.until(f"{PARTS}.includes('not connected') && {PARTS}.includes('connection refused')", seconds=5)
    colours = await tab.run(
        "[...document.querySelectorAll('#parts .badge.bad')].map((badge) => getComputedStyle(badge).color)"
    )
    assert colours
    assert all(red(colour) for colour in colours)
    assert await tab.run("document.getElementById('alert').innerText.includes('NATS')")
    await photograph(tab, "status-broken")
    with NatsServer(watched.folder / "again", port=watched.nats.port):
        await tab.until(f"{READY} === 'ready'", seconds=5)
        assert await tab.run("document.getElementById('alert').innerText") == ""
        assert await tab.run("document.querySelectorAll('#parts .badge.bad').length") == 0
        assert tab.complaints == []
        await asyncio.to_thread(watched.pair.stop)
        await tab.until("document.getElementById('link').className.includes('bad')", seconds=5)
    complaints = [
        each for each in tab.complaints if "ERR_CONNECTION_REFUSED" not in each and "ERR_INCOMPLETE" not in each
    ]
    assert complaints == []  # that the proxy itself is gone is the browser's own line


def red(colour: str) -> bool:
    r, g, b = (int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))
    return r > 2 * max(g, b)


async def test_it_works_with_scripts_blocked(watched: Watched, tab: Tab) -> None:
    with Scp(watched.target_port, offers(Verification), []):
        assoc = await asyncio.to_thread(request, watched.pair.a.port, offers(Verification), calling="NOSCRIPT")
        await tab.appearance(scripts=False)
        await tab.open_without_scripts(watched.http_a.url)
        text = await tab.text()
        assert "ready" in text
        assert "NOSCRIPT" in text
        assert "Scripts are blocked" in text
        assert "connecting" not in text
        assert "Unlock" not in text
        await asyncio.to_thread(assoc.release)


async def test_an_operator_aborts_and_tests_from_the_page(watched: Watched, tab: Tab) -> None:
    with Scp(watched.target_port, offers(Verification), []):
        assoc = await asyncio.to_thread(request, watched.pair.a.port, offers(Verification))
        await tab.open(watched.http_a.url)
        await tab.until(f"{LIVE}.includes('ASKER')", seconds=2)
        button = "document.querySelector('#live button')"
        assert await tab.run(f"getComputedStyle({button}).display") == "none"
        await tab.run(f"document.getElementById('token').value = {TOKEN!r}")
        await tab.run("document.querySelector('#unlock button').click()")
        await tab.until(f"getComputedStyle({button}).display !== 'none'", seconds=1)
        await tab.run(f"{button}.focus(); {button}.click()")
        assert assoc.is_established
        await tab.until(f"{button}.innerText === 'Really?'", seconds=1)
        assert await tab.run(f"document.activeElement === {button}")
        await tab.run(f"{button}.click()")
        await tab.until(f"{ENDED}.includes('aborted by an operator')", seconds=2)
        assert assoc.is_aborted
    await tab.open(watched.http_b.url)
    await tab.run(f"document.getElementById('token').value = {TOKEN!r}")
    await tab.run("document.querySelector('#unlock button').click()")
    await tab.run("document.querySelector('[data-post*=echo]').click()")
    await tab.until("document.getElementById('said').innerText.includes('connection refused')", seconds=3)
    await tab.until(f"{PARTS}.includes('not reachable')", seconds=2)


async def test_titles_cannot_become_markup(watched: Watched, tab: Tab) -> None:
    with Scp(watched.target_port, offers(Verification), []):
        assoc = await asyncio.to_thread(request, watched.pair.a.port, offers(Verification), calling="<b id=x>&amp;'\"")
        await tab.open(watched.http_a.url)
        await tab.until(f"{LIVE}.includes('<b id=x>')", seconds=2)
        assert await tab.run("document.getElementById('x') === null")
        await asyncio.to_thread(assoc.release)
    assert tab.complaints == []


async def test_it_can_be_used_by_keyboard_and_screen_reader(watched: Watched, tab: Tab) -> None:
    await tab.open(watched.http_a.url)
    assert await tab.run("document.documentElement.lang") == "en"
    assert await tab.run("document.querySelectorAll('h1').length") == 1
    unnamed = (
        "[...document.querySelectorAll('section[aria-labelledby],[role=region]')]"
        ".filter((part) => !document.getElementById(part.getAttribute('aria-labelledby'))).length"
    )
    assert await tab.run(unnamed) == 0
    assert await tab.run("[...document.querySelectorAll('th')].every((cell) => cell.scope === 'col')")
    assert await tab.run("document.querySelector('svg').getAttribute('aria-label').includes('Throughput')")
    assert await tab.run("document.querySelector('label[for=token]') !== null")
    assert await tab.run("[...document.querySelectorAll('*')].every((each) => each.tabIndex <= 0)")
    for scheme in ("light", "dark"):
        await tab.appearance(scheme=scheme)
        assert float(await tab.run(CONTRAST)) >= 4.5, scheme


CONTRAST = """(() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const back = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return Math.min(...[...document.querySelectorAll('h1, h2, dt, dd, td, th, p, .badge, .soft, a, button')]
    .filter((element) => element.innerText && element.offsetParent)
    .map((element) => {
      const both = [light(parts(getComputedStyle(element).color)), light(back(element))];
      return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    }));
})()"""


def test_a_page_of_a_pair_is_self_contained(watched: Watched) -> None:
    code, text = watched.http_a.read("/")
    assert code == 200
    assert "http://" not in text.replace(watched.nats.url, "").replace("http://www.w3.org", "")
    assert "https://" not in text
    assert TOKEN not in text
    assert isinstance(watched.pair, Pair)
