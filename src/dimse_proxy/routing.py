"""The table of routes in use: made of the variables and the routes file, and made anew when the file changes.

A part of the composition root. What the file may say is in `config`, what the table answers in `proxy.routes`.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dimse_proxy.config.contexts import ROUTES_FILE_NAME
from dimse_proxy.config.routes_together import PeerChannels, peer_channels, problems_together, routes_path
from dimse_proxy.config.secret_files import file_state
from dimse_proxy.config.settings import ReviewedSettings, Settings
from dimse_proxy.errors import ConfigError
from dimse_proxy.proxy.routes import ANY, LocalAe, MoveAlias, Routes, Target
from dimse_proxy.transports.streams import Address

if TYPE_CHECKING:
    from dimse_proxy.config.routes_file import RoutesFile

log: Final = logging.getLogger(__name__)


class Routing:
    """The table in use, and the file it was made of. Implements `reloading.Reloadable`."""

    def __init__(self, settings: Settings) -> None:
        """Reads the file, if there is one.

        Raises:
            ConfigError: with everything that is wrong with it, by itself and beside the variables.
        """
        self._settings: Final = settings
        self._state: tuple[int, ...] = ()
        self._looked_at: tuple[int, ...] = ()
        self.path: Path | None = None
        """The routes file in use; None for none."""
        self.table = self._next = self._read()
        """The table in use."""
        self.prepare: Callable[[Routes], None] = lambda _table: None
        """Called in a thread with a table that is about to be used; raises a ConfigError to stop that."""
        self.taken: Callable[[Routes], None] = lambda _table: None
        """Called with a table that is used from now on."""

    # `reloading.Reloadable`

    def is_there(self) -> bool:
        """There is a file, or was one."""
        return self.path is not None or routes_path(self._settings) is not None

    def has_changed(self) -> bool:
        """The file is another one, or has appeared, and was the same when it was looked at before.

        An editor may write a file in pieces, and the first piece may be a file that is right.
        """
        state = file_state(self._where)
        is_settled, self._looked_at = state == self._looked_at, state
        return is_settled and state != self._state

    def read(self) -> None:
        """Reads the file and makes a table of it, which is not used yet."""
        table = self._read()
        self.prepare(table)
        self._next = table

    def take(self) -> None:
        """Uses that table, and says so."""
        table = self.table = self._next
        self.taken(table)
        log.info(
            "routes have been read again from %s: %d local AEs, %d targets, %d Move aliases; new associations use them",
            self.path,
            len(table.local_aes),
            len(table.targets),
            len(table.move_aliases),
        )

    def keep(self, problems: Sequence[str]) -> None:
        """Says why, a line for each problem."""
        for problem in problems:
            log.error("routes stay as they were: %s", problem)

    # Inside.

    def _read(self) -> Routes:
        """A file that was in use and is gone is an error: a proxy does not forget its routes because of a lost file."""
        self._state = self._looked_at = file_state(self._where)
        path = routes_path(self._settings) or self.path
        file = None if path is None else _file(path)
        if problems := list(problems_together(self._settings, file)):
            raise ConfigError(problems)
        self.path = path
        return table_of(self._settings, file)

    @property
    def _where(self) -> Path:
        return self._settings.routes_file or self._settings.config_path / ROUTES_FILE_NAME


def _file(path: Path) -> "RoutesFile":
    from dimse_proxy.config.routes_file import read_routes_file

    return read_routes_file(path)


def table_of(settings: Settings, file: "RoutesFile | None") -> Routes:
    """The table that variables and file make, which have passed every check."""
    channels = peer_channels(settings, file)
    move_aliases = tuple(_move_aliases(settings, file, channels))
    taken = {entry.alias for entry in move_aliases}
    return Routes(
        own_ae_title=settings.own_ae_title or "",
        channels=channels.peers,
        default_channel=channels.default,
        local_aes=_local_aes(settings, file, channels, taken),
        targets=_targets(settings, file, channels),
        move_aliases=move_aliases,
    )


def _local_aes(
    settings: Settings, file: "RoutesFile | None", channels: PeerChannels, aliases: set[str]
) -> Iterator[LocalAe]:
    """Those of the file, then those titles of DIMSE_AE that the file and the aliases leave over."""
    entries = () if file is None else file.content.local
    for entry in entries:
        yield LocalAe(
            called=entry.called,
            channel=_channel(entry.channel, channels),
            ask_for=entry.ask_for,
            delivery=entry.delivery or settings.delivery,
            requires_target=settings.queue_requires_target if entry.requires_target is None else entry.requires_target,
        )
    if channels.default is None or (entries and settings.answers_to_default_only):
        return
    taken = {entry.called for entry in entries} | aliases
    for title in settings.local_ae_titles:
        if title not in taken:
            yield LocalAe(
                called=title,
                channel=channels.default,
                delivery=settings.delivery,
                requires_target=settings.queue_requires_target,
            )


def _targets(settings: Settings, file: "RoutesFile | None", channels: PeerChannels) -> Iterator[Target]:
    """Those of the file, then that of the variables for whatever is left over."""
    for entry in () if file is None else file.content.target:
        yield Target(
            asked_for=entry.asked_for,
            channels=entry.channels or channels.peers,
            hosts=tuple(Address(host, port) for host, port in entry.hosts),
            ae_title=entry.ae,
            calling=entry.calling or settings.calling_ae,
            has_tls=settings.wants_target_tls if entry.tls is None else entry.tls,
            connect_timeout=entry.connect_timeout_seconds or settings.connect_timeout,
            max_associations=entry.max_associations,
        )
    if settings.target_host is not None:
        yield Target(
            asked_for=(ANY,),
            channels=channels.peers,
            hosts=(Address(settings.target_host, settings.target_port),),
            ae_title=settings.target_ae,
            calling=settings.calling_ae,
            has_tls=settings.wants_target_tls,
            connect_timeout=settings.connect_timeout,
        )


def _move_aliases(settings: Settings, file: "RoutesFile | None", channels: PeerChannels) -> Iterator[MoveAlias]:
    for entry in () if file is None else file.content.move_alias:
        yield MoveAlias(asker=entry.asker, alias=entry.alias, channel=_channel(entry.channel, channels))
    for asker, alias in settings.move_aliases.items():
        yield MoveAlias(asker=asker, alias=alias, channel=_channel(None, channels))


def _channel(named: str | None, channels: PeerChannels) -> str:
    channel = named or channels.default
    assert channel is not None, "checked with the variables"
    return channel


def described(names: Sequence[str], what: str, most: int = 20) -> str:
    """The names, or how many there are, for one line."""
    return (", ".join(names) or "none") if len(names) <= most else f"{len(names)} {what}"


def routing_of(reviewed: ReviewedSettings, problems: list[str]) -> Routing | None:
    """The routes of settings that may be wrong; None if there are none, with what is wrong with them in `problems`.

    Beside variables that are wrong, only the file by itself is judged.
    """
    try:
        if not reviewed.problems:
            return Routing(reviewed.settings)
        path = routes_path(reviewed.settings)
        if path is not None:
            _file(path)
    except ConfigError as error:
        problems += error.problems
    return None
