"""The operator process: kopf's watches become turns, and all parts are wired.

The only module with kopf. It decides nothing about a resource; what an event says beyond whom it is about is not read.
"""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import kopf

from dimse_proxy.errors import ConfigError
from dimse_proxy.kubernetes.api import Api, ApiError, Connection
from dimse_proxy.kubernetes.events import Events
from dimse_proxy.kubernetes.lease import Election, LeaseLost
from dimse_proxy.kubernetes.manifests import INSTANCE, MANAGED_BY, MANAGER
from dimse_proxy.kubernetes.mounts import Kind
from dimse_proxy.kubernetes.permissions import LEASE_NAME
from dimse_proxy.kubernetes.reconcile import KINDS, Key, Reconciler
from dimse_proxy.kubernetes.resource import GROUP, KIND, PLURAL, VERSION
from dimse_proxy.kubernetes.work import Work

log: Final = logging.getLogger(__name__)

RESYNC: Final = 600.0
"""Seconds after which each resource has a turn, whatever was heard."""

_OWNED: Final = (("apps", "v1", "deployments"), ("", "v1", "services"), ("policy", "v1", "poddisruptionbudgets"))
"""What is watched by its label. ConfigMaps are not: some are made here, others named by a spec."""
_SOURCES: Final[Mapping[str, Kind]] = {"secrets": "Secret", "configmaps": "ConfigMap"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    image: str
    """For the pods of a resource that names none."""
    config_files: Mapping[str, str] = field(repr=False)
    """The dimse-config folder, file name to text."""
    namespaces: tuple[str, ...] = ()
    """To serve; empty for the operator's own."""
    is_cluster_wide: bool = False
    """All namespaces are served."""
    health_port: int | None = None
    """Where the kubelet asks whether the operator is alive; None for nowhere."""
    resync: float = RESYNC
    lease_timing: Mapping[str, float] = field(default_factory=dict)
    """Other times than those of `lease`."""


async def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ConfigError: there is no access to a cluster, or the custom resource is not defined there.
        LeaseLost: another operator works, or the API could not be reached for too long.
    """
    login = _Login()
    own = login.namespace
    namespaces = options.namespaces or (own,)
    identity = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Api(login.connection, KINDS))
        await _check_definition(api)
        if options.health_port is not None:
            server = await asyncio.start_server(_alive, None, options.health_port)
            stack.push_async_callback(server.wait_closed)
            stack.callback(server.close)
        elections = [
            Election(api, namespace=namespace, name=LEASE_NAME, identity=identity, now=_now, **options.lease_timing)
            for namespace in ((own,) if options.is_cluster_wide else namespaces)
        ]
        for election in elections:
            await election.acquire()
            stack.push_async_callback(election.release)
        await _serve(api, login, elections, identity, namespaces, options)


async def _serve(
    api: Api,
    login: "_Login",
    elections: Sequence[Election],
    identity: str,
    namespaces: Sequence[str],
    options: Options,
) -> None:
    """Work, as long as the Leases are ours."""
    events = Events(api, identity=identity, now=_now)
    reconciler = Reconciler(api, events, image=options.image, config_files=options.config_files, now=_now)
    work = Work(reconciler.reconcile, expected=ApiError)
    # kopf ends every task that began after it, so ours begin before.
    keepers = [asyncio.create_task(election.keep(), name=f"keep {election}") for election in elections]
    resync = asyncio.create_task(_resync(reconciler, work, options.resync), name="resync")
    serving = asyncio.create_task(
        kopf.operator(
            registry=_registry(login, reconciler, work),
            settings=_settings(),
            standalone=True,
            clusterwide=options.is_cluster_wide,
            namespaces=() if options.is_cluster_wide else namespaces,
        ),
        name="kopf",
    )
    try:
        done, _ = await asyncio.wait({serving, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await work.close()
        for task in (serving, *keepers, resync):
            task.cancel()
        await asyncio.gather(serving, *keepers, resync, return_exceptions=True)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # Without this kopf asks for the right to list all namespaces and definitions of the cluster.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None
    settings.queueing.idle_timeout = settings.queueing.exit_timeout = 0.5  # its workers only pass on whose turn it is
    for group, version, plural in _OWNED:
        settings.watching.label_selectors[group, version, plural] = f"{MANAGED_BY}={MANAGER}"
    return settings


def _registry(login: "_Login", reconciler: Reconciler, work: Work[Key]) -> kopf.OperatorRegistry:
    """Return the handlers: each only says whose turn it is."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def _log_in(**_: Any) -> kopf.ConnectionInfo:
        return login.info()

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def _resource(*, namespace: str | None, name: str, **_: Any) -> None:
        work.ask(Key(str(namespace), name))

    async def _owned(*, namespace: str | None, meta: kopf.Meta, **_: Any) -> None:
        names = {owner["name"] for owner in meta.get("ownerReferences", ()) if owner.get("kind") == KIND}
        if meta.labels.get(MANAGED_BY) == MANAGER:  # Somebody may have taken the reference out.
            names |= {meta.labels.get(INSTANCE, "")}
        for name in names - {""}:
            work.ask(Key(str(namespace), name))

    for group, version, plural in _OWNED:
        kopf.on.event(group, version, plural, registry=registry, id=f"owned-{plural}")(_owned)

    async def _source(*, namespace: str | None, name: str, meta: kopf.Meta, resource: kopf.Resource, **_: Any) -> None:
        for key in reconciler.naming(str(namespace), (_SOURCES[resource.plural], name)):
            work.ask(key)
        await _owned(namespace=namespace, meta=meta)

    for plural in _SOURCES:
        kopf.on.event("", "v1", plural, registry=registry, id=f"source-{plural}")(_source)
    return registry


async def _resync(reconciler: Reconciler, work: Work[Key], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        for key in reconciler.known:
            work.ask(key)


async def _check_definition(api: Api) -> None:
    """See whether the custom resource is defined, which kopf would only wait for.

    Raises:
        ConfigError: it is not, or the cluster cannot be asked.
    """
    try:
        if await api.is_defined(KIND):
            return
    except ApiError as error:
        raise ConfigError([f"{error}."]) from None
    raise ConfigError(
        [
            f"{PLURAL}.{GROUP} is not defined in this cluster: apply deploy/kubernetes/base/definition.yaml, or "
            "install the Helm chart with its definition."
        ]
    )


class _Login:
    """The credentials of a pod's service account, or of a kubeconfig."""

    def __init__(self) -> None:
        """Look for them.

        Raises:
            ConfigError: there are none.
        """
        self._settings: Final = kopf.OperatorSettings()
        self.namespace: Final = self.info().default_namespace or "default"

    def info(self) -> kopf.ConnectionInfo:
        """Read them as they are now, as kopf has them."""
        logins = (kopf.login_with_service_account, kopf.login_with_kubeconfig)
        for read in logins if "KUBECONFIG" not in os.environ else reversed(logins):
            try:
                found = read(settings=self._settings)
            except (OSError, ValueError, KeyError, kopf.LoginError) as error:
                raise ConfigError([f"The access to Kubernetes cannot be read: {error}."]) from None
            if found is not None:
                return found
        raise ConfigError(
            ["There is no access to Kubernetes: neither the service account of a pod nor a kubeconfig (KUBECONFIG)."]
        )

    def connection(self) -> Connection:
        """Read them as they are now, as `api` has them."""
        info = self.info()
        return Connection(server=info.server.rstrip("/"), headers=info.as_http_headers(), tls=info.as_ssl_context())


async def _alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer whatever is asked: that it is answered is what the kubelet wants to know."""
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nalive\n")
            await writer.drain()
    writer.close()


def _now() -> datetime:
    return datetime.now(UTC)


__all__ = ["LeaseLost", "Options", "run"]
