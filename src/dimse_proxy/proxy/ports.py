"""What a relay needs of the world, as protocols: an end point's connection, a session, a way to open either.

The drivers implement the first, the tunnel the second; the playbook tests implement both.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from dimse_proxy.proxy.routes import AskedFor, Way
from dimse_proxy.upper_layer.pdu import AssociateRequest


class EndPointPort(Protocol):
    """The transport connection of one leg."""

    @property
    def unsent(self) -> int:
        """Bytes written that have not left this process yet."""

    def writelines(self, parts: Sequence[bytes | memoryview]) -> None:
        """Writes all of `parts`, in order."""

    def pause_reading(self) -> None:
        """Lets TCP hold the end point back."""

    def resume_reading(self) -> None:
        """Undoes `pause_reading`."""

    def close(self) -> None:
        """Closes the connection once everything written has left; also gives up a connection that is being made."""

    def reset(self) -> None:
        """Ends the connection at once, with a TCP reset."""


class RequestorPort(EndPointPort, Protocol):
    """The transport connection towards the target, which the relay asks for."""

    def connect(self, way: Way) -> None:
        """Starts connecting to the target; `RequestorRelay.connected` or `.connect_failed` says how it went."""


class SessionPort(Protocol):
    """One session of the tunnel."""

    @property
    def id_text(self) -> str:
        """Its identifier for logs."""

    @property
    def writable(self) -> bool:
        """There is credit: false asks to stop reading the end point."""

    def send_data(self, data: bytes | memoryview, now: float) -> None:
        """Sends bytes."""

    def send_end(self, now: float) -> None:
        """Nothing more will be sent."""

    def send_abort(self, detail: Mapping[str, object], now: float) -> None:
        """Ends the session in both directions."""

    def consumed(self, length: int, now: float) -> None:
        """Bytes received have left for the end point: as many more may come."""


class IncomingSession(SessionPort, Protocol):
    """A session that the other side, or who stands in for it, has opened."""

    @property
    def channel(self) -> str:
        """The channel at the other end."""

    @property
    def info(self) -> Mapping[str, str]:
        """What its opener said of the association."""


class AcceptorPort(EndPointPort, Protocol):
    """The connection of a local association's requestor, and the tunnel behind it."""

    def set_waiting(self, is_waiting: bool) -> None:
        """Says whether this is a connection without an association: one that waits for its request, or its close."""

    def open_session(
        self, asked: AskedFor, info: Mapping[str, str], request: AssociateRequest, now: float
    ) -> SessionPort:
        """Opens a session to another side for a request; what becomes of it is told to the relay."""
