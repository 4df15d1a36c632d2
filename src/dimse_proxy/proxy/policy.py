"""Who may associate with whom, with which contexts, under which AE titles: the configuration as pure questions.

Nothing here sees a socket or a session. What is refused is raised as an `AssociationRejected` that carries its answer.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from dimse_proxy.errors import PolicyDenied
from dimse_proxy.upper_layer.pdu import ProposedContext

ANY: Final = "*"
"""In a list of AE titles: every one."""
CALLING_AE_OWN: Final = "own"
CALLING_AE_ORIGINAL: Final = "original"


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
    allowed_hosts: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that may connect; empty for every one."""
    decide_context: Callable[[str, tuple[str, ...]], Collection[str] | None] | None = None
    """The dimse-config folder: abstract syntax and transfer syntaxes to those to keep; None: no filter at all."""

    @property
    def askers_by_alias(self) -> Mapping[str, str]:
        """Alias to asker: the other way through `move_aliases`."""
        return {alias: asker for asker, alias in self.move_aliases.items()}

    def admit(self, *, called: str, calling: str, host: str) -> None:
        """Raises `PolicyDenied` if this association may not be asked for at this proxy (PS3.8 Table 9-21)."""
        if self.allowed_hosts and not self._allows_host(host):
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
        if self.decide_context is None:
            return context.transfer_syntaxes
        return self.decide_context(context.abstract_syntax, context.transfer_syntaxes)

    def _allows_host(self, host: str) -> bool:
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False  # The connection was gone before its address could be asked for.
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self.allowed_hosts)
