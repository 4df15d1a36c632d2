"""Where associations go: the one table of a proxy, from the settings and the routes file.

Pure and immutable; a relay keeps the table it was made with. What may pass on a route is for `policy`, what the file
says and what is wrong with it for `config`. Nothing is searched: every question is one or two lookups in a dict,
however many routes there are. AE titles are compared as `upper_layer.ae_title` gives them: letter case and inner spaces
count, outer spaces do not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from dimse_proxy.errors import LocalProtocolError
from dimse_proxy.transports.streams import Address

ANY: Final = "*"
"""In place of an AE title: every one that has no entry of its own."""
CALLING_OWN: Final = "own"
CALLING_ORIGINAL: Final = "original"
CALLING_ALIAS: Final = "alias"
"""The asker's Move alias; its own title if it has none."""
RELAY: Final = "relay"
STORE_AND_FORWARD: Final = "store-and-forward"
"""What becomes of storage associations; all others are relayed in any case."""
NO_ALIASES: Final[Mapping[str, str]] = MappingProxyType({})

_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFor:
    """What one side asks another for, for one association."""

    channel: str
    """The channel at the other end of the session: asked here, or asking here."""
    called: str
    """The AE title that is asked for; the asker's own behind a Move alias."""
    is_alias: bool = False
    """A Move alias was called: `called` is the asker's own title, and it is the one to call there."""
    delivery: str = RELAY
    """`relay` or `store-and-forward`."""
    requires_target: bool = False
    """What is queued is only accepted while the target accepts it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAe:
    """An AE of another site as this network sees it: a called AE title that the listener answers to."""

    called: str
    """May be `*`."""
    channel: str
    """Where it is."""
    ask_for: str | None = None
    """The AE title to ask for there; None: the called one."""
    delivery: str = RELAY
    """`relay` or `store-and-forward`."""
    requires_target: bool = False
    """What is queued is only accepted while the target accepts it too."""

    def asked(self, called: str) -> AskedFor:
        """What is asked for when `called` is called here."""
        return AskedFor(
            channel=self.channel,
            called=self.ask_for or called,
            delivery=self.delivery,
            requires_target=self.requires_target,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveAlias:
    """The AE title under which this network's PACS knows an asker of another site, or another site's one of ours."""

    asker: str
    alias: str
    channel: str
    """Where the association goes that calls the alias; on associations with this channel the asker is renamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An AE of this network, as other channels may ask for it."""

    asked_for: tuple[str, ...]
    """AE titles; may hold `*`."""
    channels: tuple[str, ...]
    """That may ask."""
    hosts: tuple[Address, ...]
    """Where it is, the first that can be connected to; at least one."""
    ae_title: str | None = None
    """The AE title to call; None: the one that was asked for."""
    calling: str = CALLING_OWN
    """`own`, `original`, `alias` or a fixed AE title."""
    has_tls: bool = False
    connect_timeout: float = 10.0
    """Seconds for each host."""
    max_associations: int = 0
    """At the same time, in this process; 0 for no limit."""

    @property
    def name(self) -> str:
        """`TITLE@host:port`, with all its hosts: what it is counted by, and shown as."""
        return f"{self.ae_title or self.asked_for[0]}@{','.join(map(str, self.hosts))}"

    @property
    def title_for_tests(self) -> str:
        """The AE title to call without having been asked for one; where every title is passed on, one is as good."""
        return self.ae_title or next((title for title in self.asked_for if title != ANY), "DIMSEPROXY")

    def address(self, called: str, host: Address | None = None) -> str:
        """`TITLE@host:port` of one association, for people; of the first host as long as none is chosen."""
        return f"{called}@{host or self.hosts[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where an association that arrives through the tunnel goes."""

    target: Target
    called: str
    """The AE title to call there."""
    asker: str | None = None
    """The asker whose Move alias was asked for, where the other side passed an alias of ours on."""


class Routes:
    """The table."""

    __slots__ = (
        "_aliases",
        "_anything",
        "_askers",
        "_projected",
        "_targets",
        "channels",
        "default_channel",
        "local_aes",
        "move_aliases",
        "own_ae_title",
        "targets",
    )

    def __init__(
        self,
        *,
        own_ae_title: str,
        channels: Sequence[str],
        default_channel: str | None = None,
        local_aes: Iterable[LocalAe] = (),
        targets: Iterable[Target] = (),
        move_aliases: Iterable[MoveAlias] = (),
    ) -> None:
        """Makes the table.

        Args:
            own_ae_title: calling AE title towards targets that want `own`; empty for none.
            channels: that this proxy talks to.
            default_channel: where what names no channel goes, if there is such a one.
            local_aes: what the listener answers to, beside the aliases.
            targets: what other channels may ask for.
            move_aliases: one to one.

        Raises:
            LocalProtocolError: it points two ways for one AE title, which `config` has to find before.
        """
        self.own_ae_title: Final = own_ae_title
        self.channels: Final = tuple(channels)
        self.default_channel: Final = default_channel
        self.local_aes: Final = tuple(local_aes)
        self.targets: Final = tuple(targets)
        self.move_aliases: Final = tuple(move_aliases)
        projected: dict[str, AskedFor] = {}
        anything: list[LocalAe] = []
        for local in self.local_aes:
            if local.called == ANY:
                anything.append(local)
            else:
                _add(projected, local.called, local.asked(local.called))
        if len(anything) > 1:
            raise LocalProtocolError("two routes for every called AE title")
        aliases: dict[str, dict[str, str]] = {}
        askers: dict[tuple[str, str], str] = {}
        for entry in self.move_aliases:
            _add(projected, entry.alias, AskedFor(channel=entry.channel, called=entry.asker, is_alias=True))
            _add(aliases.setdefault(entry.channel, {}), entry.asker, entry.alias)
            askers[entry.channel, entry.alias] = entry.asker
        by_title: dict[tuple[str, str], Target] = {}
        for target in self.targets:
            for channel in target.channels:
                for title in target.asked_for:
                    _add(by_title, (channel, title), target)
        self._projected: Final[Mapping[str, AskedFor]] = projected
        self._anything: Final = next(iter(anything), None)
        self._aliases: Final[Mapping[str, Mapping[str, str]]] = aliases
        self._askers: Final[Mapping[tuple[str, str], str]] = askers
        self._targets: Final[Mapping[tuple[str, str], Target]] = by_title

    @property
    def has_tls_targets(self) -> bool:
        """TLS towards at least one target."""
        return any(target.has_tls for target in self.targets)

    @property
    def queued_channels(self) -> tuple[str, ...]:
        """Channels of other sites for whose AEs something is queued here."""
        queued = (local.channel for local in self.local_aes if local.delivery == STORE_AND_FORWARD)
        return tuple(dict.fromkeys(queued))

    def takes_without_target(self, channel: str) -> bool:
        """Whether something is queued for a channel even while its target is away."""
        return any(
            local.channel == channel and local.delivery == STORE_AND_FORWARD and not local.requires_target
            for local in self.local_aes
        )

    @property
    def titles(self) -> tuple[str, ...]:
        """Called AE titles that the listener answers to, the aliases last; may hold `*`."""
        return (*(local.called for local in self.local_aes), *(entry.alias for entry in self.move_aliases))

    def project(self, called: str) -> AskedFor | None:
        """What to ask another side for when a local association calls `called`; None if no route leads anywhere."""
        asked = self._projected.get(called)
        if asked is None and self._anything is not None:
            return self._anything.asked(called)
        return asked

    def way(self, asked: AskedFor) -> Way | None:
        """Where to go with what a channel asks for; None if it has no such target."""
        asker = self._askers.get((asked.channel, asked.called))
        called = asked.called if asker is None else asker
        target = self._targets.get((asked.channel, called))
        if target is not None:
            return Way(target=target, called=target.ae_title or called, asker=asker)
        target = self._targets.get((asked.channel, ANY))
        if target is None:
            return None
        if target.ae_title is not None and asker is None and not asked.is_alias:
            called = target.ae_title
        return Way(target=target, called=called, asker=asker)

    def aliases(self, channel: str) -> Mapping[str, str]:
        """Asker's AE title to its alias, on associations with `channel`."""
        return self._aliases.get(channel, NO_ALIASES)

    def calling_title(self, target: Target, *, channel: str, calling: str) -> str:
        """The calling AE title towards a target, given the requestor's own and the channel that it comes from."""
        match target.calling:
            case "own":
                return self.own_ae_title
            case "original":
                return calling
            case "alias":
                return self.aliases(channel).get(calling, calling)
            case fixed:
                return fixed


def _add(table: dict[_KeyT, _ValueT], key: _KeyT, value: _ValueT) -> None:
    if key in table:
        raise LocalProtocolError(f"two routes for {key!r}")
    table[key] = value
