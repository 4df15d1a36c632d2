"""What the examples' scripts share: an AE with its options on the command line, associations, and its listener.

They know nothing of proxies: as any modality or application, they call one address and listen at another.
"""

import ssl
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

Handlers = Iterable[tuple[Any, ...]]

PENDING: Final = (0xFF00, 0xFF01)
_LITTLE_ENDIAN: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


class NotAcceptedError(Exception):
    """There is no association; the text says what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """This side's AE, and the one that it calls."""

    title: str
    called: str
    host: str
    port: int
    listen_port: int | None
    authority: Path | None
    """PEM file of whoever signs the other side's certificate; with it, all connections have TLS."""
    key: Path | None
    """PEM file with the own key and certificate, for the listener and for whoever asks."""

    @classmethod
    def of(cls, options: Namespace) -> "Application":
        """What the command line says."""
        return cls(
            title=options.title,
            called=options.called,
            host=options.host,
            port=options.port,
            listen_port=options.listen,
            authority=options.tls_ca,
            key=options.tls_key,
        )

    @contextmanager
    def associate(
        self, contexts: Sequence[PresentationContext], *, called: str | None = None, handlers: Handlers = ()
    ) -> Iterator[Association]:
        """An association, released at the end of the block.

        Raises:
            NotAcceptedError: it was rejected, or nobody answered.
        """
        association = AE(ae_title=self.title).associate(
            self.host,
            self.port,
            contexts=list(contexts),
            ae_title=called or self.called,
            evt_handlers=list(handlers),
            tls_args=None if self.authority is None else (self._context(ssl.PROTOCOL_TLS_CLIENT), self.host),
        )
        if not association.is_established:
            where = f"{called or self.called} at {self.host}:{self.port}"
            raise NotAcceptedError(
                f"{where} rejected the association" if association.is_rejected else f"no association with {where}"
            )
        try:
            yield association
        finally:
            association.release()

    @contextmanager
    def listening(self, contexts: Sequence[PresentationContext], handlers: Handlers) -> Iterator[None]:
        """Accepts associations during the block, where there is a port to listen on."""
        if self.listen_port is None:
            yield
            return
        ae = AE(ae_title=self.title)
        ae.maximum_associations = 100
        for context in contexts:
            # Both roles: storage commitment's SCP is the requestor of the association that it reports on.
            ae.add_supported_context(
                str(context.abstract_syntax), list(context.transfer_syntax), scu_role=True, scp_role=True
            )
        server = ae.start_server(
            (self.host, self.listen_port),
            block=False,
            evt_handlers=list(handlers),
            ssl_context=None if self.key is None else self._context(ssl.PROTOCOL_TLS_SERVER),
        )
        assert server is not None
        try:
            yield
        finally:
            server.shutdown()

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        if protocol == ssl.PROTOCOL_TLS_SERVER:
            context.verify_mode = ssl.CERT_NONE if self.authority is None else ssl.CERT_REQUIRED
        if self.authority is not None:
            context.load_verify_locations(self.authority)
        if self.key is not None:
            context.load_cert_chain(self.key)
        return context


def options_parser(description: str, *, title: str, called: str = "") -> ArgumentParser:
    """The options of an application, with the AE titles of its README as defaults; one that calls nobody has none."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--title", default=title, help=f"own AE title ({title})")
    parser.add_argument("--called", default=called, help=f"AE title to call ({called or 'none'})")
    parser.add_argument("--host", default="127.0.0.1", help="where it is, and where to listen (127.0.0.1)")
    parser.add_argument("--port", type=int, required=bool(called), default=0, help="its port")
    parser.add_argument("--listen", type=int, help="own port, for what the other side sends on its own")
    parser.add_argument("--tls-ca", type=Path, help="PEM file with the authority to trust: TLS for all connections")
    parser.add_argument("--tls-key", type=Path, help="PEM file with the own key and certificate")
    return parser


def contexts_for(*sop_classes: object) -> list[PresentationContext]:
    """A presentation context for each SOP class, explicit and implicit VR little endian."""
    return [build_context(str(uid), list(_LITTLE_ENDIAN)) for uid in dict.fromkeys(map(str, sop_classes))]


def status_of(answer: Dataset) -> int:
    """The status of a response.

    Raises:
        NotAcceptedError: there is none, because the association ended.
    """
    if "Status" not in answer:
        raise NotAcceptedError("the association ended before the answer")
    return int(answer.Status)


def say(text: str) -> None:
    """Prints a line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
