"""Debian's chromium, headless, driven through its DevTools protocol: what a page shows, and what it complains about."""

import asyncio
import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.integration.peers.processes import ChildProcess
from tests.integration.peers.waiting import free_port

BINARY: Final = shutil.which("chromium")
START_SECONDS: Final = 40.0


class Tab:
    """One tab; every command waits for its answer."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: Final[list[str]] = []
        """Errors and warnings of the console, exceptions, and requests that failed."""
        self._socket: Final = socket
        self._last_id = 0
        self._loaded: Final = asyncio.Event()
        self._answers: Final[dict[int, asyncio.Future[dict[str, Any]]]] = {}
        self._reading: Final = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            news = json.loads(message.data)
            if "id" in news:
                self._answers.pop(news["id"]).set_result(news)
            elif news["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif news["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(news["params"]["exceptionDetails"]))
            elif news["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled"):
                entry = news["params"].get("entry", news["params"])
                if entry.get("level", entry.get("type")) in ("error", "warning"):
                    self.complaints.append(str(entry))

    async def do(self, method: str, **parameters: object) -> dict[str, Any]:
        self._last_id += 1
        answer = self._answers[self._last_id] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._last_id, "method": method, "params": parameters})
        result = await asyncio.wait_for(answer, 20)
        assert "error" not in result, result
        outcome: dict[str, Any] = result["result"]
        return outcome

    async def open(self, url: str) -> None:
        for domain in ("Page", "Runtime", "Log"):
            await self.do(f"{domain}.enable")
        await self.do("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'", seconds=10)

    async def open_without_scripts(self, url: str) -> None:
        """Opens a page in a tab whose scripts are blocked."""
        await self.do("Page.enable")
        self._loaded.clear()
        await self.do("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), 10)

    async def text(self) -> str:
        """What is shown, as a screen reader is told."""
        nodes = (await self.do("Accessibility.getFullAXTree"))["nodes"]
        return "\n".join(str(node["name"].get("value", "")) for node in nodes if "name" in node)

    async def run(self, expression: str) -> Any:
        result = await self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str, *, seconds: float) -> float:
        """Waits until the expression is true; returns how long that took."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while not await self.run(expression):
            waited = loop.time() - begin
            text = await self.run("document.body ? document.body.innerText.slice(0, 3000) : ''")
            assert waited < seconds, f"waited {waited:.1f} s in vain: {expression}\n{text}"
            await asyncio.sleep(0.02)
        return loop.time() - begin

    async def appearance(self, *, scheme: str = "light", scripts: bool = True, width: int = 1280) -> None:
        """Light or dark, with or without scripts."""
        await self.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.do("Emulation.setScriptExecutionDisabled", value=not scripts)
        await self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)

    async def screenshot(self, path: Path) -> None:
        shot = await self.do("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(shot["data"]))

    async def close(self) -> None:
        await self._socket.close()
        await self._reading


@asynccontextmanager
async def browser_tab(folder: Path) -> AsyncIterator[Tab]:
    """A browser of its own with one tab."""
    assert BINARY is not None, "chromium is not installed: tools/install_peers.sh"
    port = free_port()
    command = [
        BINARY,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--hide-scrollbars",
        "--no-proxy-server",
        f"--remote-debugging-port={port}",
        f"--user-data-dir={folder / 'profile'}",
        "about:blank",
    ]
    process = ChildProcess("chromium", command, folder, env={**os.environ, "HOME": str(folder)})
    try:
        await asyncio.to_thread(process.wait_for_listener, port, seconds=START_SECONDS)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                targets = json.loads(await answer.text())
            address = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
            async with session.ws_connect(address, max_msg_size=0) as socket:
                tab = Tab(socket)
                yield tab
                await tab.close()
    finally:
        process.stop()
