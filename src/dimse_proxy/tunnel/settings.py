"""What a tunnel is told at its start: who it is, and the numbers it works with.

Nothing here reads the environment: `config` does, and passes the values on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.tunnel.subjects import is_root, is_token

MEBIBYTE: Final = 1 << 20
LARGEST_NUMBER: Final = (1 << 64) - 1
KEY_SIZE: Final = 32
"""Bytes of a tunnel key."""


@dataclass(frozen=True, slots=True)
class TunnelIdentity:
    """Who this process is, in every hello and frame it sends."""

    channel: str
    """This side's channel: one token of a subject."""
    instance: str
    """Name of this process, unique on its channel: one token of a subject."""
    epoch: int
    """64-bit number that grows with every start of the same instance name; the boot time will do."""
    version: str
    """Version of the program, for the other side's log."""
    accepts: bool = True
    """False: present, but never picked for an open."""
    wall_clock: Callable[[], int] | None = None
    """Milliseconds since 1970 UTC, told in every hello; None to tell nothing."""

    def __post_init__(self) -> None:
        for name in (self.channel, self.instance):
            if not is_token(name):
                raise LocalProtocolError(f"{name!r} cannot be a token of a subject")
        if not 0 <= self.epoch <= LARGEST_NUMBER:
            raise LocalProtocolError(f"epoch {self.epoch} does not fit 64 bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelSettings:
    """The tunnel's numbers; bytes and seconds. The defaults are those of the protocol's documentation."""

    root: str = "DIMSE"
    """First token or tokens of every subject."""
    window: int = 4 * MEBIBYTE
    """Bytes a session's sender may be ahead of what left for the local socket: 80 ms allow 52 MB/s."""
    receive_budget: int = 32 * MEBIBYTE
    """Bytes in flight from all peers together; nats-server cuts a connection off at 64 MiB pending."""
    chunk_size: int = 262144
    """Largest DATA payload, also capped by the server's max_payload."""
    hello_interval: float = 0.75
    """Told in each hello: a peer of which two are missing is late, after 1.75 s."""
    sync_interval: float = 5.0
    """Between two rounds of telling offsets to each peer."""
    presence_timeout: float = 10.0
    """Silence after which a peer is no longer picked for opens."""
    open_retry: float = 2.0
    """An open is repeated after this long without an answer."""
    open_patience: float = 0.5
    """An instance that was not heard since it was asked is left for another one after this long, if there is one."""
    open_attempts: int = 3
    """Opens sent to one instance before it is cancelled and another one tried."""
    open_timeout: float = 60.0
    """Longest wait, over all instances, until an open is acknowledged."""
    wait_for_peer: float = 3.0
    """How long an open waits for a hello when a peer is expected to be back."""
    resume_timeout: float = 60.0
    """Silence of a peer, or length of our own disconnection, that ends sessions."""
    abort_bound: float = 5.0
    """Longest wait of an ABORT for the bytes before it."""
    session_limit: int | None = None
    """Sessions taken from peers at the same time; None for no limit of the tunnel's own."""
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    """Tunnel keys, 32 random bytes each: the first one that a peer has too seals, all are accepted. Empty: no seal."""

    def __post_init__(self) -> None:
        if not is_root(self.root):
            raise LocalProtocolError(f"{self.root!r} cannot be the root of a subject")
        for name in ("window", "receive_budget", "chunk_size", "open_attempts"):
            if getattr(self, name) < 1:
                raise LocalProtocolError(f"{name} must be at least 1")
        if any(len(key) != KEY_SIZE for key in self.keys):
            raise LocalProtocolError(f"a tunnel key has {KEY_SIZE} bytes")
