"""Who may associate with whom, with which contexts, under which AE titles: the configuration as pure questions.

Nothing here sees a socket or a session. What is refused is raised as an `AssociationRejected` that carries its answer.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, TypeAlias

from dimse_proxy.errors import PolicyDenied
from dimse_proxy.proxy.refusals import RefusalCode, Refused
from dimse_proxy.upper_layer.pdu import ProposedContext

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]

ContextDecision: TypeAlias = Callable[[str, tuple[str, ...]], Collection[str] | None]
"""Abstract syntax and transfer syntaxes to those to keep, None if the abstract syntax is refused."""

ANY: Final = "*"
"""In a list of AE titles or operations: every one."""
CALLING_AE_OWN: Final = "own"
CALLING_AE_ORIGINAL: Final = "original"


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
class AskedFor:
    """What the acceptor side asks the other side for, for one association."""

    called: str
    """The AE title to call there; the SCU's called AE title, or the asker behind a Move alias."""
    is_alias: bool
    """The called AE title was a Move alias: `called` is the asker's own title, and it is the one to call there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The AE that associations arriving from the other side are requested from."""

    ae_title: str
    host: str
    port: int

    def address(self, called: str) -> str:
        """`TITLE@host:port`, for people."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{called}@{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The rules of one proxy."""

    local_ae_titles: tuple[str, ...]
    """Called AE titles that the listener answers to; may hold `*`."""
    own_ae_title: str
    calling_ae: str = CALLING_AE_OWN
    """`own`, `original` or a fixed AE title."""
    target: Target | None = None
    move_aliases: Mapping[str, str] = field(default_factory=dict)
    """Asker's AE title to the alias registered at the PACS, one to one."""
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

    @property
    def askers_by_alias(self) -> Mapping[str, str]:
        """Alias to asker: the other way through `move_aliases`."""
        return {alias: asker for asker, alias in self.move_aliases.items()}

    def admit(self, *, called: str, calling: str, host: str) -> None:
        """Raises `PolicyDenied` if this association may not be asked for at this proxy (PS3.8 Table 9-21)."""
        if self.allowed_hosts and not _is_in(host, self.allowed_hosts):
            raise PolicyDenied(f"host {host} is not in DIMSE_ALLOWED_HOSTS", result=1, source=1, reason=3)
        if ANY not in self.allowed_calling and calling not in self.allowed_calling:
            raise PolicyDenied(
                f"calling AE title {calling!r} is not in DIMSE_ALLOWED_CALLING_AES", result=1, source=1, reason=3
            )
        ours = (*self.local_ae_titles, *self.askers_by_alias)
        if ANY not in ours and called not in ours:
            raise PolicyDenied(
                f"called AE title {called!r} is not one of ours ({', '.join(ours)})", result=1, source=1, reason=7
            )

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

    def asked_for(self, called: str) -> AskedFor:
        """What to ask the other side for when a local association calls `called`."""
        asker = self.askers_by_alias.get(called)
        return AskedFor(called=called if asker is None else asker, is_alias=asker is not None)

    def title_at_target(self, asked: AskedFor) -> str:
        """The called AE title towards the target."""
        if asked.is_alias:
            return asked.called
        return self.askers_by_alias.get(asked.called, self.target.ae_title if self.target else asked.called)

    def calling_at_target(self, calling: str) -> str:
        """The calling AE title towards the target, given the SCU's own."""
        match self.calling_ae:
            case "own":
                return self.own_ae_title
            case "original":
                return calling
            case fixed:
                return fixed

    def decide(self, context: ProposedContext) -> Collection[str] | None:
        """The transfer syntaxes of `context` to keep, None if its abstract syntax is refused (design of the filter)."""
        return _decision(self.decide_context, context)

    def decide_in(self, context: ProposedContext) -> Collection[str] | None:
        """As `decide`, of an association that arrives through the tunnel."""
        return _decision(self.decide_context_in, context)


def _decision(decide: ContextDecision | None, context: ProposedContext) -> Collection[str] | None:
    return context.transfer_syntaxes if decide is None else decide(context.abstract_syntax, context.transfer_syntaxes)


def _is_in(host: str, networks: Networks) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False  # The connection was gone before its address could be asked for.
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in networks)
