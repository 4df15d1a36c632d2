"""The root of the error hierarchy: every error says what it becomes on the wire.

Nothing here formats text for a peer: a peer sees numbers of PS3.7 and PS3.8, never a message of ours.
"""

from typing import Final


class DimseProxyError(Exception):
    """The root of every error that this package raises on purpose."""


class LocalProtocolError(DimseProxyError):
    """A core was misused by its own caller: a bug, never a peer's doing."""


class RemoteProtocolError(DimseProxyError):
    """The peer broke the protocol; it is answered with the A-ABORT described by `source` and `reason`.

    Attributes:
        source: of the A-ABORT, 0 service-user, 2 service-provider (PS3.8 9.3.8).
        reason: of the A-ABORT (PS3.8 Table 9-26).
    """

    def __init__(self, message: str, *, reason: int, source: int = 2) -> None:
        super().__init__(message)
        self.source: Final = source
        self.reason: Final = reason


class AssociationRejected(DimseProxyError):
    """An association request that is answered with an A-ASSOCIATE-RJ (PS3.8 9.3.4).

    Attributes:
        result: 1 rejected-permanent, 2 rejected-transient.
        source: 1 service-user, 2 service-provider (ACSE), 3 service-provider (presentation).
        reason: its meaning depends on `source` (PS3.8 Table 9-21).
    """

    def __init__(self, message: str, *, result: int, source: int, reason: int) -> None:
        super().__init__(message)
        self.result: Final = result
        self.source: Final = source
        self.reason: Final = reason


class TunnelError(DimseProxyError):
    """The tunnel cannot do what was asked.

    Attributes:
        code: a short word of `dimse_proxy.tunnel`, the same on the wire and in logs.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code: Final = code


class PolicyDenied(AssociationRejected):
    """The configuration does not allow this association."""


class RouteNotFound(AssociationRejected):
    """No route leads to the called AE title."""


class TransportError(DimseProxyError):
    """A connection could not be made or was lost."""


class TlsError(TransportError):
    """There is a connection, and no TLS on it: one of the two does not take the other for who it should be."""


class ConfigError(DimseProxyError):
    """One or more settings are wrong; each problem names its source, the value and what would be right.

    Attributes:
        problems: one sentence each, in the order found, never holding a secret.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems: Final = tuple(problems)
