"""An API server over the store: discovery, lists, watches, and the faults that real ones have.

It runs in a thread of its own, so that the operator under test is a process like any other. Tests reach into it by its
methods; everything else goes over HTTP.
"""

import asyncio
import json
import ssl
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import web

from dimse_proxy.kubernetes.permissions import ELECTION, WORK
from tests.certificates import Authority
from tests.integration.kubernetes.store import Happening, Json, Refused, Resource, Store, matches
from tests.integration.peers.waiting import LOOPBACK, free_port

T = TypeVar("T")

ADMIN: Final = "admins-token"


class Emulator:
    """One API server, started by entering it."""

    def __init__(self) -> None:
        self.port: Final = free_port()
        self.token = "operators-token"
        """Of whoever may do what `permissions` lists, and nothing else."""
        self.store: Final = Store()
        self.refused: Final[list[str]] = []
        """What the operator asked for without being allowed to."""
        self.requests: Final[list[tuple[str, str]]] = []
        """Method and path of every request that writes."""
        self.before_write: Callable[[str, str], None] = lambda method, path: None
        """Called before each write is done; may raise Refused, or change the store."""
        # Clients of Kubernetes do not send a token over a connection without TLS.
        self._tls: Final = _server_context()
        self._loop: Final = asyncio.new_event_loop()
        self._news: asyncio.Condition | None = None
        self._runner: web.AppRunner | None = None
        self._streams: set[asyncio.Task[Any]] = set()
        self._thread: Final = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    def __enter__(self) -> "Emulator":
        self._thread.start()
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def call(self, function: Callable[[], T]) -> T:
        """Runs a function in the server's thread, so that no request is half-way."""

        async def run() -> T:
            return function()

        done: Future[T] = asyncio.run_coroutine_threadsafe(run(), self._loop)
        return done.result(10)

    def start(self) -> None:
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)

    def stop(self) -> None:
        """Ends every connection; what is kept is kept."""
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(20)

    def cut_watches(self) -> None:
        """Ends the watches that run, as a load balancer or a restart does."""
        self.call(lambda: [stream.cancel() for stream in self._streams])

    async def _start(self) -> None:
        self._news = asyncio.Condition()
        self.store.changed = lambda: self._streams.add(self._loop.create_task(self._wake()))
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port, reuse_address=True, ssl_context=self._tls).start()

    async def _stop(self) -> None:
        for stream in list(self._streams):
            stream.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _wake(self) -> None:
        assert self._news is not None
        async with self._news:
            self._news.notify_all()
        self._streams.discard(asyncio.current_task())

    # Answers.

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            who = request.headers.get("Authorization")
            if who not in (f"Bearer {self.token}", f"Bearer {ADMIN}"):
                raise Refused(401, "Unauthorized", "Unauthorized")
            if (found := self._discovery(request.path)) is not None:
                return web.json_response(found)
            if who != f"Bearer {ADMIN}":
                self._authorize(request)
            return await self._objects(request)
        except Refused as error:
            return web.json_response(error.status(), status=error.code)

    def _discovery(self, path: str) -> Json | None:
        parts = path.strip("/").split("/")
        match parts:
            case ["version"]:
                return {"major": "1", "minor": "34", "gitVersion": "v1.34.0"}
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"]}
            case ["apis"]:
                versions = dict.fromkeys(r.api_version for r in self.store.resources() if "/" in r.api_version)
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [self._group(v) for v in versions]}
            case ["api", version] | ["apis", _, version]:
                where = version if parts[0] == "api" else "/".join(parts[1:])
                listed = [r for r in self.store.resources() if r.api_version == where]
                if not listed:
                    raise Refused(404, "NotFound", "the server could not find the requested resource")
                return {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": where,
                    "resources": [entry for resource in listed for entry in self._entries(resource)],
                }
        return None

    def _group(self, api_version: str) -> Json:
        group, _, version = api_version.partition("/")
        entry = {"groupVersion": api_version, "version": version}
        return {"name": group, "versions": [entry], "preferredVersion": entry}

    def _entries(self, resource: Resource) -> list[Json]:
        entry = {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.is_namespaced,
            "kind": resource.kind,
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        }
        status = {**entry, "name": f"{resource.plural}/status", "verbs": ["get", "patch", "update"]}
        return [entry, status] if resource.has_status else [entry]

    def _authorize(self, request: web.Request) -> None:
        """What RBAC does, with the rules of the operator."""
        resource, _, name, part = self._addressed(request.path)
        is_watch = request.query.get("watch") in ("true", "1")
        read = "get" if name is not None else "watch" if is_watch else "list"
        verb = {"GET": read, "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[request.method]
        group = resource.api_version.rpartition("/")[0]
        plural = f"{resource.plural}/{part}" if part else resource.plural
        for rule in (*WORK, *ELECTION):
            if (
                (rule.group, rule.resource) == (group, plural)
                and verb in rule.verbs
                and name in (rule.names or (name,))
            ):
                return
        self.refused.append(f"{verb} {group}/{plural} {name or ''}")
        raise Refused(403, "Forbidden", f"{plural} is forbidden: cannot {verb} resource in API group {group!r}")

    async def _objects(self, request: web.Request) -> web.StreamResponse:
        resource, namespace, name, part = self._addressed(request.path)
        if request.method == "GET":
            if name is not None:
                return web.json_response(self.store.get(resource, namespace or "", name))
            labels = dict(pair.split("=", 1) for pair in request.query.get("labelSelector", "").split(",") if pair)
            if request.query.get("watch") in ("true", "1"):
                return await self._watch(request, resource, namespace, labels)
            return web.json_response(
                {
                    "kind": f"{resource.kind}List",
                    "apiVersion": resource.api_version,
                    "metadata": {"resourceVersion": str(self.store.version)},
                    "items": self.store.all(resource, namespace, labels),
                }
            )
        body = json.loads(await request.text() or "{}")
        self.requests.append((request.method, request.path))
        self.before_write(request.method, request.path)
        match request.method:
            case "POST":
                return web.json_response(self.store.create(resource, namespace or "", body), status=201)
            case "PUT":
                return web.json_response(self.store.replace(resource, namespace or "", name or "", body, part=part))
            case "PATCH":
                if "merge-patch" not in request.content_type:
                    raise Refused(415, "UnsupportedMediaType", f"{request.content_type} is not emulated")
                return web.json_response(self.store.merge(resource, namespace or "", name or "", body, part=part))
            case "DELETE":
                preconditions = body.get("preconditions") or {}
                return web.json_response(self.store.delete(resource, namespace or "", name or "", preconditions))
        raise Refused(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _addressed(self, path: str) -> tuple[Resource, str | None, str | None, str]:
        parts = path.strip("/").split("/")
        api_version, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
        namespace = None
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        resource = self.store.resource(api_version, rest[0])
        return resource, namespace, rest[1] if len(rest) > 1 else None, rest[2] if len(rest) > 2 else ""

    async def _watch(
        self, request: web.Request, resource: Resource, namespace: str | None, labels: dict[str, str]
    ) -> web.StreamResponse:
        since = int(request.query.get("resourceVersion") or self.store.version)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            while True:
                try:
                    news = self.store.history(resource, since)
                except Refused as error:
                    await response.write(json.dumps({"type": "ERROR", "object": error.status()}).encode() + b"\n")
                    return response
                for happened in news:
                    since = happened.version
                    if (event := _seen_as(happened, namespace, labels)) is not None:
                        await response.write(json.dumps(event).encode() + b"\n")
                await self._wait_for_news(resource, since)
        except ConnectionError:
            return response
        finally:
            self._streams.discard(task)

    async def _wait_for_news(self, resource: Resource, since: int) -> None:
        assert self._news is not None
        async with self._news:
            # Nothing can have happened since `since` was read: that was in this thread, without an await between.
            if since >= self.store.oldest and self.store.history(resource, since):
                return
            await self._news.wait()


def _server_context() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(Authority("api").issue("api").pem(Path(folder) / "api.pem"))
    return context


def _seen_as(happened: Happening, namespace: str | None, labels: dict[str, str]) -> Json | None:
    """What a watch with a selector is told: an object that loses its label is deleted for it, as it was before."""
    if namespace not in (None, happened.obj["metadata"].get("namespace")):
        return None
    if matches(happened.obj, labels):
        return {"type": happened.type, "object": happened.obj}
    if happened.type == "MODIFIED" and happened.before is not None and matches(happened.before, labels):
        version = {"resourceVersion": happened.obj["metadata"]["resourceVersion"]}
        return {"type": "DELETED", "object": happened.before | {"metadata": happened.before["metadata"] | version}}
    return None
