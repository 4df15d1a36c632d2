"""The HTTP listener: alive, ready, metrics, the API and the status page.

Read-only, but for two actions that ask for the token. It runs in the event loop of the associations, so nothing here
takes long: what several readers want at the same time is made once.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from dimse_proxy.errors import TransportError
from dimse_proxy.observability.exposition import CONTENT_TYPE, Exposition
from dimse_proxy.observability.page import CONTENT_SECURITY_POLICY, Page
from dimse_proxy.observability.snapshot import Json, Snapshot
from dimse_proxy.transports.streams import Address

TICK: Final = 0.5
"""Seconds between two events of the stream."""
MOST_STREAMS: Final = 32
"""Readers of the stream at the same time."""
STALLED: Final = 30.0
"""Seconds after which a reader of the stream that takes nothing loses its place."""
SHUTDOWN: Final = 0.5
"""Seconds that answers under way have at the end."""

_SECURITY: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

log: Final = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Actions:
    """What can be done over HTTP with the token."""

    def __init__(
        self, *, token: str, abort: Callable[[int], bool], test_target: Callable[[], Awaitable[tuple[bool, str]]]
    ) -> None:
        """Do nothing yet.

        Args:
            token: who shows it may act.
            abort: ends the association of that number; false if there is none.
            test_target: sends a C-ECHO to the target; whether that went well, and a sentence.
        """
        self._token: Final = token.encode()
        self.abort: Final = abort
        self.test_target: Final = test_target

    def allows(self, authorization: str) -> bool:
        """Whether the header brings the token; takes as long when it does not."""
        scheme, _, shown = authorization.partition(" ")
        return hmac.compare_digest(shown.strip().encode(), self._token) and scheme.lower() == "bearer"


class HttpServer:
    """Of one process."""

    def __init__(self, snapshot: Snapshot, exposition: Exposition, actions: Actions | None) -> None:
        """Open nothing yet; without `actions` everything is read-only."""
        self._snapshot: Final = snapshot
        self._exposition: Final = exposition
        self._actions: Final = actions
        self._page: Final = Page(snapshot)
        self._pieces: tuple[float, dict[str, str]] = (-TICK, {})
        self._streams: Final[set[asyncio.Task[None]]] = set()
        self._runner: web.AppRunner | None = None

    async def listen(self, host: str, port: int) -> Address:
        """Open the listener; return where it is.

        Raises:
            TransportError: the address cannot be had.
        """
        application = web.Application(middlewares=[_secured])
        get, post = application.router.add_get, application.router.add_post
        get("/", self._document)
        get("/healthz", self._alive)
        get("/readyz", self._ready)
        get("/metrics", self._metrics)
        get("/api/v1/status", self._status)
        get("/api/v1/associations", self._associations)
        get("/api/v1/throughput", self._throughput)
        get("/api/v1/routes", self._routes)
        get("/api/v1/settings", self._settings)
        get("/api/v1/queues", self._queues)
        get("/api/v1/events", self._events)
        post("/api/v1/associations/{number}/abort", self._abort)
        post("/api/v1/target/echo", self._echo)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            self._runner = None
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise TransportError(f"cannot listen for HTTP on {Address(host, port)}: {reason}") from error
        bound = self._runner.addresses[0]
        return Address(bound[0], bound[1])

    async def close(self) -> None:
        """End everything."""
        for stream in self._streams:
            stream.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # Read.

    async def _document(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._page.document(), content_type="text/html", charset="utf-8")

    async def _alive(self, _request: web.Request) -> web.Response:
        return _json({"alive": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        ready = self._snapshot.ready()
        return _json(ready, status=200 if ready["ready"] else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._exposition.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self._snapshot.status())

    async def _associations(self, _request: web.Request) -> web.Response:
        return _json({"live": self._snapshot.live(), "ended": self._snapshot.ended()})

    async def _throughput(self, _request: web.Request) -> web.Response:
        return _json(self._snapshot.throughput())

    async def _routes(self, _request: web.Request) -> web.Response:
        return _json({"routes": self._snapshot.routes()})

    async def _settings(self, _request: web.Request) -> web.Response:
        return _json({"settings": self._snapshot.settings()})

    async def _queues(self, _request: web.Request) -> web.Response:
        return _json({"queues": self._snapshot.queues()})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """The pieces of the page, each when it has changed (server-sent events)."""
        if len(self._streams) >= MOST_STREAMS:
            return _json({"message": f"{MOST_STREAMS} readers are there already"}, status=503)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"} | _SECURITY)
        await response.prepare(request)
        stream = asyncio.ensure_future(self._stream(response))
        self._streams.add(stream)
        try:
            await asyncio.wait({stream})
        finally:
            stream.cancel()
            self._streams.discard(stream)
        return response

    async def _stream(self, response: web.StreamResponse) -> None:
        sent: dict[str, str] = {}
        while True:
            pieces = self._current()
            changed = {name: html for name, html in pieces.items() if sent.get(name) != html}
            sent = pieces
            text = f"data: {json.dumps(changed)}\n\n" if changed else ": nothing new\n\n"
            try:
                async with asyncio.timeout(STALLED):
                    await response.write(text.encode())
            except (ConnectionError, TimeoutError):
                return
            await asyncio.sleep(TICK)

    def _current(self) -> dict[str, str]:
        """The pieces now, made once for all readers of one tick."""
        now = asyncio.get_running_loop().time()
        if now - self._pieces[0] >= TICK / 2:
            self._pieces = (now, self._page.pieces())
        return self._pieces[1]

    # Act.

    async def _abort(self, request: web.Request) -> web.Response:
        actions = self._allowed(request)
        if isinstance(actions, web.Response):
            return actions
        text = request.match_info["number"]
        if not (text.isascii() and text.isdigit() and actions.abort(int(text[:18]))):
            return _json({"message": f"There is no live association {text[:20]}."}, status=404)
        log.warning("association %s was aborted over HTTP, from %s", text, request.remote)
        return _json({"message": f"Association {text} is aborted."})

    async def _echo(self, request: web.Request) -> web.Response:
        actions = self._allowed(request)
        if isinstance(actions, web.Response):
            return actions
        is_good, sentence = await actions.test_target()
        return _json({"reachable": is_good, "message": sentence}, status=200 if is_good else 502)

    def _allowed(self, request: web.Request) -> Actions | web.Response:
        if self._actions is None:
            return _json({"message": "DIMSE_HTTP_TOKEN is not set: this proxy is read-only over HTTP."}, status=403)
        if not self._actions.allows(request.headers.get("Authorization", "")):
            log.warning("an action over HTTP from %s was refused: wrong token", request.remote)
            return _json({"message": "That is not the token."}, status=401, headers={"WWW-Authenticate": "Bearer"})
        return self._actions


@web.middleware
async def _secured(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the headers on that every answer has."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(_SECURITY)
        raise
    if not response.prepared:
        response.headers.update(_SECURITY)
    return response


def _json(value: Json, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(value, status=status, headers=headers)
