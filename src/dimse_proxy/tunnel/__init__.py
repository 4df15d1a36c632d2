"""The tunnel, sans-I/O: presence, frames and sessions, each session one reliable pipe of bytes each way.

What does not belong here: DICOM (a session carries bytes), NATS connections, clocks.
"""

from dimse_proxy.tunnel.events import (
    AbortReceived,
    DataReceived,
    EndReceived,
    Message,
    Peer,
    PeerAppeared,
    PeerLost,
    PeerRefused,
    SessionAcknowledged,
    SessionClosed,
    SessionFailed,
    SessionOpened,
    SessionWritable,
    TunnelCode,
    TunnelCounters,
    TunnelEvent,
)
from dimse_proxy.tunnel.session import Session
from dimse_proxy.tunnel.settings import TunnelIdentity, TunnelSettings
from dimse_proxy.tunnel.tunnel import Tunnel

__all__ = [
    "AbortReceived",
    "DataReceived",
    "EndReceived",
    "Message",
    "Peer",
    "PeerAppeared",
    "PeerLost",
    "PeerRefused",
    "Session",
    "SessionAcknowledged",
    "SessionClosed",
    "SessionFailed",
    "SessionOpened",
    "SessionWritable",
    "Tunnel",
    "TunnelCode",
    "TunnelCounters",
    "TunnelEvent",
    "TunnelIdentity",
    "TunnelSettings",
]
