"""Who may associate with whom, with which contexts and operations: the configuration as pure questions.

Where an association goes is in `routes`. Nothing here sees a socket or a session. What is refused is raised as an
`AssociationRejected` that carries its answer.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, TypeAlias

from dimse_proxy.errors import PolicyDenied, RouteNotFound
from dimse_proxy.proxy.refusals import RefusalCode, Refused
from dimse_proxy.proxy.routes import ANY, AskedFor, Routes, Way
from dimse_proxy.upper_layer.pdu import ProposedContext

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

ContextDecision: TypeAlias = Callable[[str, tuple[str, ...]], Collection[str] | None]
"""Abstract syntax and transfer syntaxes to those to keep, None if the abstract syntax is refused."""

TITLES_NAMED: Final = 20
"""AE titles that a sentence names at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """Which DIMSE operations may be asked for: services by name, `C-STORE`."""

    allowed: frozenset[str] = frozenset({ANY})
    """May hold `*`."""
    excluded: frozenset[str] = frozenset()
    """Not allowed whatever `allowed` holds."""

    @classmethod
    def of(cls, words: Iterable[str]) -> "Operations":
        """Reads `C-ECHO`, `*` and `!N-DELETE`, each a word."""
        words = frozenset(words)
        excluded = frozenset(word for word in words if word.startswith("!"))
        return cls(allowed=words - excluded, excluded=frozenset(word[1:] for word in excluded))

    @property
    def is_everything(self) -> bool:
        """Nothing has to be looked at."""
        return self.allows_unknown and not self.excluded

    @property
    def allows_unknown(self) -> bool:
        """What no standard has named may be asked for."""
        return ANY in self.allowed

    def allows(self, service: str) -> bool:
        """Whether the operation may be asked for."""
        return service not in self.excluded and (self.allows_unknown or service in self.allowed)


EVERY_OPERATION: Final = Operations()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one proxy."""

    routes: Routes
    allowed_calling: tuple[str, ...] = (ANY,)
    allowed_hosts: Networks = ()
    """Networks that may connect; empty for every one."""
    operations_out: Operations = EVERY_OPERATION
    """That AEs of this side's network may ask AEs of the other side for, whichever of them opened the association."""
    operations_in: Operations = EVERY_OPERATION
    """That AEs of the other side may ask AEs of this side's network for."""
    decide_context: ContextDecision | None = None
    """The dimse-config folder; None: no filter at all."""
    allowed_calling_in: tuple[str, ...] = (ANY,)
    """Calling AE titles of the other side that may ask for an association with the target."""
    allowed_called_in: tuple[str, ...] = (ANY,)
    """AE titles that the other side may ask for."""
    allowed_hosts_in: Networks = ()
    """Networks of the other side that may ask, as its proxy tells them; empty for every one."""
    decide_context_in: ContextDecision | None = None
    """The dimse-config folder for associations that arrive through the tunnel; None: no filter at all."""

    def admit(self, *, called: str, calling: str, host: str) -> AskedFor:
        """What to ask another side for on behalf of this local association.

        Raises:
            PolicyDenied: it may not be asked for at this proxy (PS3.8 Table 9-21).
            RouteNotFound: no route leads to its called AE title.
        """
        if self.allowed_hosts and not _is_in(host, self.allowed_hosts):
            raise PolicyDenied(f"host {host} is not in DIMSE_ALLOWED_HOSTS", result=1, source=1, reason=3)
        if ANY not in self.allowed_calling and calling not in self.allowed_calling:
            raise PolicyDenied(
                f"calling AE title {calling!r} is not in DIMSE_ALLOWED_CALLING_AES", result=1, source=1, reason=3
            )
        asked = self.routes.project(called)
        if asked is None:
            raise RouteNotFound(
                f"called AE title {called!r} is not one of ours ({_named(self.routes.titles)})",
                result=1,
                source=1,
                reason=7,
            )
        return asked

    def way(self, asked: AskedFor) -> Way | Refused:
        """Where to go with what a channel asks for, or why there is nothing."""
        way = self.routes.way(asked)
        if way is not None:
            return way
        if not self.routes.targets:
            return Refused(code=RefusalCode.NO_TARGET, text="this side has no target (DIMSE_TARGET_HOST is not set)")
        text = f"no target of this side is for AE title {asked.called!r} and channel {asked.channel}"
        return Refused(code=RefusalCode.NO_ROUTE, text=text)

    def refusal_in(self, *, called: str, calling: str, peer: str) -> Refused | None:
        """Why an association that arrives through the tunnel may not be asked for at the target; None if it may.

        Args:
            called: the AE title that the other side asks for.
            calling: of the A-ASSOCIATE-RQ.
            peer: `host:port` of its requestor, as the other side's proxy tells it.
        """
        host = peer.rpartition(":")[0].strip("[]")
        if self.allowed_hosts_in and not _is_in(host, self.allowed_hosts_in):
            code, text = RefusalCode.CALLING_NOT_ALLOWED, f"host {host} is not in DIMSE_ALLOWED_HOSTS_IN"
        elif ANY not in self.allowed_calling_in and calling not in self.allowed_calling_in:
            code = RefusalCode.CALLING_NOT_ALLOWED
            text = f"calling AE title {calling!r} is not in DIMSE_ALLOWED_CALLING_AES_IN"
        elif ANY not in self.allowed_called_in and called not in self.allowed_called_in:
            code = RefusalCode.CALLED_NOT_ALLOWED
            text = f"called AE title {called!r} is not in DIMSE_ALLOWED_CALLED_AES_IN"
        else:
            return None
        return Refused(code=code, text=text)

    def decide(self, context: ProposedContext) -> Collection[str] | None:
        """The transfer syntaxes of `context` to keep, None if its abstract syntax is refused (design of the filter)."""
        return _decision(self.decide_context, context)

    def decide_in(self, context: ProposedContext) -> Collection[str] | None:
        """As `decide`, of an association that arrives through the tunnel."""
        return _decision(self.decide_context_in, context)


def _decision(decide: ContextDecision | None, context: ProposedContext) -> Collection[str] | None:
    return context.transfer_syntaxes if decide is None else decide(context.abstract_syntax, context.transfer_syntaxes)


def _named(titles: tuple[str, ...]) -> str:
    more = len(titles) - TITLES_NAMED
    return ", ".join(titles[:TITLES_NAMED]) + (f" and {more} more" if more > 0 else "")


def _is_in(host: str, networks: Networks) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False  # The connection was gone before its address could be asked for.
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
