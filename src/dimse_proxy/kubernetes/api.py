"""The Kubernetes API, as far as it is needed: read, make, replace and remove an object, patch a status.

One request a call, no cache, no retry: what an answer means is for the caller. Nothing here knows what a proxy is. The
only module with aiohttp here.
"""

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import aiohttp

Json = dict[str, Any]

_REQUEST_TIMEOUT: Final = 30.0
"""Seconds for an answer: the API server gives up after 60, and another pass costs little."""
_CREDENTIALS_AGE: Final = 60.0
"""Seconds after which credentials are read again: the token of a pod is replaced long before it expires."""


class ApiError(Exception):
    """The API did not do what was asked.

    Attributes:
        status: of HTTP; 0 when there was no answer.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status: Final = status


class Conflict(ApiError):
    """The object is another one than was thought: changed, made or removed meanwhile."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=409)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the API is, and who asks."""

    server: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """Where objects of one kind are."""

    api_version: str
    plural: str

    def path(self, namespace: str, name: str = "") -> str:
        """Path of one object, or of all in a namespace."""
        root = "/api" if "/" not in self.api_version else "/apis"
        path = f"{root}/{self.api_version}/namespaces/{namespace}/{self.plural}"
        return f"{path}/{name}" if name else path


class Api:
    """One client; to be entered before it is used."""

    def __init__(self, connect: Callable[[], Connection], kinds: Mapping[str, Kind]) -> None:
        """Open nothing yet.

        Args:
            connect: reads the credentials as they are now.
            kinds: the kinds that are spoken of, by name.
        """
        self._connect: Final = connect
        self._kinds: Final = kinds
        self._connection: Connection | None = None
        self._read_at = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def is_defined(self, kind: str) -> bool:
        """Whether the cluster has a kind of a group."""
        where = self._kinds[kind]
        try:
            found = await self._request("GET", f"/apis/{where.api_version}")
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return any(resource.get("name") == where.plural for resource in found.get("resources", ()))

    async def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """Return an object; None if there is none."""
        try:
            return await self._request("GET", self._kinds[kind].path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def create(self, obj: Json) -> Json:
        """Make an object.

        Raises:
            Conflict: it exists.
        """
        return await self._request("POST", self._kinds[obj["kind"]].path(obj["metadata"]["namespace"]), obj)

    async def replace(self, obj: Json) -> Json:
        """Put an object in place of the one with the same resourceVersion.

        Raises:
            Conflict: that is another one meanwhile.
        """
        metadata = obj["metadata"]
        return await self._request("PUT", self._kinds[obj["kind"]].path(metadata["namespace"], metadata["name"]), obj)

    async def delete(self, kind: str, live: Json) -> None:
        """Remove this very object; that it is gone already is right."""
        metadata = live["metadata"]
        options = {"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", self._kinds[kind].path(metadata["namespace"], metadata["name"]), options)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def patch_status(self, kind: str, namespace: str, name: str, status: Json) -> None:
        """Replace members of an object's status."""
        path = f"{self._kinds[kind].path(namespace, name)}/status"
        await self._request("PATCH", path, {"status": status}, content_type="application/merge-patch+json")

    async def _request(
        self, method: str, path: str, body: Json | None = None, *, content_type: str = "application/json"
    ) -> Json:
        answer = await self._send(method, path, body, content_type)
        if answer.status == 401:
            self._connection = None  # The token was replaced since it was read.
            answer = await self._send(method, path, body, content_type)
        if answer.status < 300:
            return answer.body
        message = str(answer.body.get("message") or f"HTTP status {answer.status}")
        if answer.status == 409:
            raise Conflict(message)
        raise ApiError(f"{method} {path}: {message}", status=answer.status)

    async def _send(self, method: str, path: str, body: Json | None, content_type: str) -> "_Answer":
        assert self._session is not None, "the client is entered before it is used"
        connection = self._current()
        headers = {"Accept": "application/json", "User-Agent": "dimse-proxy-operator", **connection.headers}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        try:
            async with self._session.request(
                method, connection.server + path, data=data, headers=headers, ssl=connection.tls or True
            ) as response:
                return _Answer(response.status, _decoded(await response.read()))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            reason = str(error) or "no answer in time"
            raise ApiError(f"{method} {path}: the API cannot be reached: {reason}", status=0) from error

    def _current(self) -> Connection:
        now = time.monotonic()
        if self._connection is None or now - self._read_at > _CREDENTIALS_AGE:
            self._connection = self._connect()
            self._read_at = now
        return self._connection


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Json


def _decoded(data: bytes) -> Json:
    """The body as an object; a proxy in between may have written something else."""
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
