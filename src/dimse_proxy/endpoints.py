"""How connections of DICOM end points are made: the plain and the TLS listener, and the way to a target.

A part of the composition root. It decides nothing about associations, and imports what TLS needs only when it is asked
for.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import TlsError
from dimse_proxy.observability.flood import Flood
from dimse_proxy.proxy.routes import Target
from dimse_proxy.transports.streams import Address, LendingConnection, StreamConnection, StreamHandler
from dimse_proxy.transports.tcp import TcpConnection, TcpListener, TcpOptions, connect, listen
from dimse_proxy.upper_layer.reader import looks_like

if TYPE_CHECKING:
    from ssl import SSLContext

    from dimse_proxy.config.tls import DicomTls
    from dimse_proxy.transports.proxy_protocol import FrontedConnection, ProxyGate
    from dimse_proxy.transports.tls import TlsFailure, TlsGate, TlsStream

OnConnection: TypeAlias = Callable[[StreamConnection], StreamHandler]
OnTcpConnection: TypeAlias = Callable[[LendingConnection], StreamHandler]
OnTlsFailed: TypeAlias = Callable[[str, str], None]
"""Told the address of a peer and why there is no TLS with it."""

_ASSOCIATE_RQ: Final = 0x01
"""The first byte of an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

MOST_FILES: Final = 65536
"""Open files that are asked for: a connection is one."""

log: Final = logging.getLogger(__name__)


class EndPoints:
    """The listeners, and the way to each target. Implements `reloading.Reloadable` for keys and certificates."""

    def __init__(
        self,
        settings: Settings,
        tls: "DicomTls | None",
        options: TcpOptions,
        on_tls_failed: OnTlsFailed = lambda _peer, _cause: None,
    ) -> None:
        """Opens nothing yet.

        Args:
            settings: that have passed every check.
            tls: the contexts, if TLS is asked for in either direction.
            options: how each connection is set up.
            on_tls_failed: told of each peer with which there is no TLS, beside the log.
        """
        self._on_tls_failed: Final = on_tls_failed
        self._settings: Final = settings
        self.tls = tls
        """The contexts in use; other ones may be set when routes come to need them."""
        self._options: Final = options
        self._gate: TlsGate | None = None
        self._proxy_gates: Final[list[ProxyGate]] = []
        self._without_header: Final = Flood()
        self._listeners: Final[list[TcpListener]] = []
        self._said: Final[set[str]] = set()

    @property
    def described(self) -> str:
        """Where connections are taken, for a sentence."""
        words = [f"{address}" for listener in self._listeners for address in listener.addresses]
        if self._gate is not None:
            tls = len(self._listeners[-1].addresses)
            words[-tls:] = [f"{word} (TLS)" for word in words[-tls:]]
        return ", ".join(words)

    @property
    def _is_tls_only(self) -> bool:
        return self._settings.has_tls_listener and self._settings.tls_port is None

    async def listen(self, on_connection: OnConnection) -> None:
        """Opens the listeners.

        Args:
            on_connection: called for each connection that can be used, and returns its user.

        Raises:
            TransportError: an address cannot be had.
        """
        settings = self._settings
        if not self._is_tls_only:
            await self._listen(settings.port, on_connection)
        if settings.has_tls_listener:
            await self._listen(settings.tls_port or settings.port, self._through_tls(on_connection))

    async def connect(self, target: Target, host: Address, handler: StreamHandler) -> StreamConnection:
        """Connects to one host of a target.

        Raises:
            TransportError: there is no connection; the text says why.
        """
        settings = self._settings
        if not target.has_tls:
            return await connect(
                host.host,
                host.port,
                timeout=target.connect_timeout,
                bind_host=settings.bind_host,
                options=self._options,
                handler=handler,
            )
        from dimse_proxy.transports.tls import connect_tls

        assert self.tls is not None, "a target with TLS has contexts"
        try:
            stream = await connect_tls(
                host.host,
                host.port,
                context=self.tls.requestor,
                timeout=target.connect_timeout,
                handshake_timeout=settings.tls_handshake_timeout,
                bind_host=settings.bind_host,
                options=self._options,
                handler=handler,
            )
        except TlsError as error:
            self._on_tls_failed(str(host), str(error))
            raise
        self._say_tls(stream)
        return stream

    def close(self) -> None:
        """Stops listening at once; connections that have been handed out live on."""
        for listener in self._listeners:
            listener.close()
        if self._gate is not None:
            self._gate.close()
        for gate in self._proxy_gates:
            gate.close()

    def warn(self) -> None:
        """Logs what is worth a warning about keys, certificates, TLS versions and suites, each once."""
        for note in () if self.tls is None else self.tls.notes:
            if note not in self._said:
                self._said.add(note)
                log.warning("%s", note)

    # `reloading.Reloadable`

    def is_there(self) -> bool:
        """There are keys and certificates."""
        return self.tls is not None

    def has_changed(self) -> bool:
        """One of their files is another one."""
        return self.tls is not None and self.tls.has_changed()

    def read(self) -> None:
        """Reads them; contexts are used from when they are right, since all of them are made before one is set."""
        if self.tls is not None:
            self.tls.reload()

    def take(self) -> None:
        """Says so."""
        log.info("keys and certificates have been read again: new TLS connections use them")
        self.warn()

    def keep(self, problems: Sequence[str]) -> None:
        """Says why."""
        log.error("keys and certificates stay as they were: %s", " ".join(problems))

    # Inside.

    async def _listen(self, port: int, on_connection: OnTcpConnection) -> None:
        taken: Callable[[TcpConnection], StreamHandler] = on_connection
        if self._settings.proxy_protocol:
            taken = self._behind_load_balancer(on_connection)
        self._listeners.append(await listen(self._settings.host, port, taken, options=self._options))

    def _behind_load_balancer(self, on_connection: OnTcpConnection) -> "Callable[[FrontedConnection], StreamHandler]":
        from dimse_proxy.transports.proxy_protocol import ProxyGate

        settings = self._settings
        gate = ProxyGate(
            on_connection,
            self._no_header,
            timeout=settings.artim_timeout,
            limit=settings.max_unassociated_connections,
        )
        self._proxy_gates.append(gate)
        return gate.connection_made

    def _no_header(self, peer: Address, text: str) -> None:
        left_out = self._without_header.left_out()
        if left_out is not None:
            more = f" ({left_out} more like it since the last such line)" if left_out else ""
            log.warning("connection from %s closed: %s, which DIMSE_PROXY_PROTOCOL asks for%s", peer, text, more)

    def _through_tls(self, on_connection: OnConnection) -> OnTcpConnection:
        from dimse_proxy.transports.tls import TlsGate

        settings = self._settings

        def made(stream: "TlsStream") -> StreamHandler:
            self._say_tls(stream)
            return on_connection(stream)

        self._gate = TlsGate(
            self._acceptor_context,
            made,
            self._no_tls,
            handshake_timeout=settings.tls_handshake_timeout,
            limit=settings.tls_max_handshakes,
            on_limit=self._too_many_handshakes,
        )
        return self._gate.connection_made

    def _acceptor_context(self) -> "SSLContext":
        assert self.tls is not None, "a TLS listener has contexts"
        return self.tls.acceptor

    def _say_tls(self, stream: "TlsStream") -> None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("TLS with %s: %s, %s", stream.peer_address, stream.version, stream.cipher_suite)

    def _no_tls(self, peer: Address, failure: "TlsFailure") -> None:
        if not failure.received:
            log.debug("connection from %s without a byte: %s", peer, failure.text)
            return
        text = failure.text
        if failure.is_plain:
            if failure.received[0] == _ASSOCIATE_RQ:
                text = "it speaks plain DICOM on a port for TLS: an A-ASSOCIATE-RQ without TLS"
            else:
                text = f"it does not speak TLS, but sent {looks_like(failure.received) or 'something unknown'}"
        log.warning("TLS with %s failed: %s", peer, text)
        self._on_tls_failed(str(peer), text)

    def _too_many_handshakes(self) -> None:
        log.warning(
            "%d TLS handshakes are unfinished (DIMSE_TLS_MAX_HANDSHAKES): more connections are reset until some end",
            self._settings.tls_max_handshakes,
        )


def raise_file_limit() -> None:
    """Takes as many open files as the system lets this process have: the usual 1024 are fewer than the limits here."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
