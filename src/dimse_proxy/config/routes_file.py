"""The routes file: what it may say, how it is read, and what is wrong with it by itself, with line numbers.

What it means together with the variables is in `routes_together`; the table that is made of both is `proxy.routes`.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from dimse_proxy.config.problems import expectations, right_of, shown
from dimse_proxy.config.sources import nearest
from dimse_proxy.config.toml_lines import lines_of
from dimse_proxy.config.values import (
    AeTitle,
    CallingAe,
    Channel,
    ChannelOrUnset,
    Count,
    DeliveryOrUnset,
    Expects,
    FlagOrUnset,
    Seconds,
    check_host,
    check_named_title,
)
from dimse_proxy.errors import ConfigError

DEFAULT_PORT: Final = 11112
"""As of DIMSE_TARGET_PORT."""

_RIGHT_HOSTS: Final = '"host", "host:port" or a list of them is right'
_QUOTES: Final = "text stands in straight quotes, and true and false without any, in lower case"
_PORT: Final = re.compile(r"[0-9]{1,5}")
_TOML_LINE: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_T = TypeVar("_T")


def _as_tuple(value: object) -> object:
    """One, or a list of them."""
    return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else value


def _as_rows(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _without_repetition(values: tuple[_T, ...]) -> tuple[_T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("one of them stands there twice")
    return values


def _without_comma(title: str) -> str:
    """What other sites ask by is this proxy's own choice, so that DIMSE_AE's habit can be an error here."""
    if "," in title:
        raise ValueError(f'{title!r} has a comma: several stand in a list, ["ONE", "TWO"]')
    return title


def _host_and_port(value: object) -> tuple[str, int]:
    """Read `host`, `host:port`, an IPv6 address, or `[address]:port`."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no host: text in quotes is right")
    text = value.strip()
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")) or text.endswith("]"):
        return _host(text), DEFAULT_PORT
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"{port!r} is no port: a number from 1 to 65535 is right")
    return _host(host), int(port)


def _host(text: str) -> str:
    try:
        return check_host(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a host name nor an address: {_RIGHT_HOSTS}") from None


_RIGHT_TITLE: Final = Expects("one AE title in quotes is right")
NamedTitle = Annotated[str, AfterValidator(check_named_title), _RIGHT_TITLE]
NamedTitleOrUnset = Annotated[NamedTitle | None, _RIGHT_TITLE]
CallingOrUnset = Annotated[CallingAe | None, Expects('"own", "original", "alias" or one AE title in quotes is right')]
Title = Annotated[AeTitle, Expects("one AE title in quotes is right, or *")]
Titles = Annotated[
    tuple[Annotated[AeTitle, AfterValidator(_without_comma)], ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
    AfterValidator(_without_repetition),
    Expects("an AE title in quotes or a list of them is right, or *"),
]
Hosts = Annotated[
    tuple[Annotated[tuple[str, int], BeforeValidator(_host_and_port)], ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
    AfterValidator(_without_repetition),
    Expects(_RIGHT_HOSTS),
]
Channels = Annotated[
    tuple[Channel, ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
    AfterValidator(_without_repetition),
    Expects("channels are words of letters, digits, - and _, in quotes, one or a list of them"),
]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    NAME: ClassVar[str]
    """Of the table in the file."""


class LocalEntry(_Table):
    """An AE of another site, which the listener stands in for."""

    NAME = "local"
    called: Title
    """Called AE title, or `*`."""
    channel: ChannelOrUnset = None
    """Where that AE is; None: the only peer channel."""
    ask_for: NamedTitleOrUnset = None
    """AE title to ask for there; None: the called one."""
    delivery: DeliveryOrUnset = None
    """What becomes of storage associations; None: DIMSE_DELIVERY."""
    requires_target: FlagOrUnset = None
    """Whether they are queued only while the target accepts them too; None: DIMSE_QUEUE_REQUIRES_TARGET."""


class TargetEntry(_Table):
    """An AE of this network, which other sites may ask for."""

    NAME = "target"
    asked_for: Titles
    """AE titles by which it is asked for; may hold `*`."""
    hosts: Hosts
    """Host and port of each place where it is, in the order in which to try them."""
    channels: Channels = ()
    """That may ask for it; empty for every peer channel."""
    ae: NamedTitleOrUnset = None
    """AE title to call; None: the one that was asked for."""
    calling: CallingOrUnset = None
    """Calling AE title: `own`, `original`, `alias` or a title; None: DIMSE_CALLING_AE."""
    tls: FlagOrUnset = None
    """TLS; None: DIMSE_TARGET_TLS_ENABLED."""
    connect_timeout_seconds: Annotated[Seconds | None, Expects("a number of seconds greater than 0 is right")] = None
    """Seconds for the connection to each host; None: DIMSE_CONNECT_TIMEOUTSECONDS."""
    max_associations: Count = 0
    """Associations with it at the same time; 0 for no limit."""


class MoveAliasEntry(_Table):
    """An asker's AE title, and the one under which the PACS knows it."""

    NAME = "move_alias"
    asker: NamedTitle
    alias: NamedTitle
    channel: ChannelOrUnset = None
    """Where the asker is; None: the only peer channel."""


class RoutesContent(_Table):
    """Everything in the file."""

    NAME = "routes file"
    channels: Channels = ()
    """Peer channels; empty: those that the entries name."""
    local: Annotated[tuple[LocalEntry, ...], BeforeValidator(_as_rows), Expects("[[local]] tables are right")] = ()
    target: Annotated[tuple[TargetEntry, ...], BeforeValidator(_as_rows), Expects("[[target]] tables are right")] = ()
    move_alias: Annotated[
        tuple[MoveAliasEntry, ...], BeforeValidator(_as_rows), Expects("[[move_alias]] tables are right")
    ] = ()


_TABLES: Final[Mapping[str, type[_Table]]] = {table.NAME: table for table in (LocalEntry, TargetEntry, MoveAliasEntry)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesFile:
    """A routes file that is right by itself, and where in it everything stands."""

    path: Path
    content: RoutesContent
    lines: Mapping[tuple[str | int, ...], int]

    def place(self, *way: str | int) -> str:
        """`FILE:LINE` of what is at the end of the way, or else of what it would be in."""
        return f"{self.path}:{self.line(*way)}"

    def line(self, *way: str | int) -> int:
        """The line of `place`."""
        return _line(self.lines, way)

    def named_channels(self) -> Iterator[tuple[str, str]]:
        """Return each channel that an entry names, and where."""
        content = self.content
        for index, local in enumerate(content.local):
            if local.channel is not None:
                yield local.channel, self.place("local", index, "channel")
        for index, target in enumerate(content.target):
            for channel in target.channels:
                yield channel, self.place("target", index, "channels")
        for index, alias in enumerate(content.move_alias):
            if alias.channel is not None:
                yield alias.channel, self.place("move_alias", index, "channel")


def _line(lines: Mapping[tuple[str | int, ...], int], way: tuple[str | int, ...]) -> int:
    while way and way not in lines:
        way = way[:-1]
    return lines.get(way, 1)


def read_routes_file(path: Path, *, variable: str = "DIMSE_ROUTES_FILE") -> RoutesFile:
    """Read a routes file and judge it by itself.

    Raises:
        ConfigError: with every problem found.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError([f"{variable}={path}: {error.strerror or 'it cannot be read'}."]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{variable}={path}: its content is not UTF-8 text."]) from None
    return parse_routes(text, path)


def parse_routes(text: str, path: Path) -> RoutesFile:
    """Judge the text of a routes file by itself.

    Args:
        text: all of it.
        path: where it is from, for sentences.

    Raises:
        ConfigError: with every problem found.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_no_toml(path, text, str(error))]) from None
    lines = lines_of(text)
    try:
        content = RoutesContent.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise ConfigError(list(dict.fromkeys(_sentence(path, lines, values, detail) for detail in details))) from None
    file = RoutesFile(path=path, content=content, lines=lines)
    if problems := list(_two_ways(file)) + list(_other_channels(file)):
        raise ConfigError(problems)
    return file


def _no_toml(path: Path, text: str, error: str) -> str:
    found = _TOML_LINE.search(error)
    line = (found and found[1]) or len(text.splitlines()) or 1
    reason = error[: found.start()] if found else error
    says = [*text.splitlines(), ""][int(line) - 1].strip()
    told = f"{shown(says)}: " if says else ""
    is_bare = "=" in says and '"' not in says and "'" not in says
    hint = f"; {_QUOTES}" if is_bare and reason.startswith(("Invalid value", "Expected newline")) else ""
    return f"{path}:{line}: {told}this is no TOML: {reason[:1].lower()}{reason[1:]}{hint}."


def _sentence(
    path: Path, lines: Mapping[tuple[str | int, ...], int], values: Mapping[str, Any], detail: ErrorDetails
) -> str:
    """Put one of pydantic's errors into words."""
    way = detail["loc"]
    keys = [part for part in way if isinstance(part, str)]
    table = _TABLES.get(str(way[0])) if len(keys) > 1 else RoutesContent
    assert table is not None, "other tables are unknown themselves"
    key = keys[-1] if len(keys) <= 2 else keys[1]
    place = f"{path}:{_line(lines, way)}"
    name = table.NAME if table is RoutesContent else f"[[{table.NAME}]]"
    expected = expectations(table).get(key)
    if detail["type"] == "extra_forbidden":
        known = nearest(key.lower(), table.model_fields)
        return f"{place}: {shown(key)} is unknown in {name}; the nearest known name is {known}."
    if detail["type"] == "missing":
        return f"{place}: {name} without {key}: {right_of(detail, expected)}"
    return f"{place}: {key} = {shown(_as_text(_at(values, way)))}: {right_of(detail, expected)}"


def _at(values: Any, way: tuple[str | int, ...]) -> object:
    """What the file says there; of a list of which one element is wrong, that one."""
    for part in way:
        match values, part:
            case dict(), str() if part in values:
                values = values[part]
            case list(), int():
                values = values[part]
            case _:
                break
    return values


def _as_text(value: object) -> str:
    """As it may stand in the file: with its quotes, which may be what is wrong with it."""
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str)


# What points two ways.


def _two_ways(file: RoutesFile) -> Iterator[str]:
    yield from _called_twice(file)
    yield from _asked_for_twice(file)
    yield from _askers_twice(file)


def _called_twice(file: RoutesFile) -> Iterator[str]:
    """A called AE title that two entries are for; a Move alias is one too."""
    content = file.content
    entries = [("local", index, "called", entry.called) for index, entry in enumerate(content.local)]
    entries += [("move_alias", index, "alias", entry.alias) for index, entry in enumerate(content.move_alias)]
    first: dict[str, str] = {}
    for table, index, key, title in entries:
        place = file.place(table, index, key)
        if title in first:
            yield f"{first[title]} and {place}: called AE title {title!r} points two ways: one of them is right."
        first.setdefault(title, place)


def _asked_for_twice(file: RoutesFile) -> Iterator[str]:
    first: dict[str, list[tuple[int, TargetEntry]]] = {}
    for index, entry in enumerate(file.content.target):
        for title in entry.asked_for:
            for other_index, other in first.setdefault(title, []):
                if _may_meet(entry.channels, other.channels):
                    places = (file.place("target", number, "asked_for") for number in (other_index, index))
                    yield f"{' and '.join(places)}: asked-for AE title {title!r} points two ways: one of them is right."
            first[title].append((index, entry))


def _askers_twice(file: RoutesFile) -> Iterator[str]:
    first: dict[str, list[tuple[int, MoveAliasEntry]]] = {}
    for index, entry in enumerate(file.content.move_alias):
        for other_index, other in first.setdefault(entry.asker, []):
            if other.channel in (None, entry.channel) or entry.channel is None:
                places = (file.place("move_alias", number, "asker") for number in (other_index, index))
                yield f"{' and '.join(places)}: asker {entry.asker!r} has two aliases on one channel: one is right."
        first[entry.asker].append((index, entry))


def _may_meet(channels: tuple[str, ...], others: tuple[str, ...]) -> bool:
    return not channels or not others or not set(channels).isdisjoint(others)


def _other_channels(file: RoutesFile) -> Iterator[str]:
    """Channels of entries that the file's own list does not have."""
    content = file.content
    if not content.channels:
        return
    for channel, place in file.named_channels():
        if channel not in content.channels:
            right = nearest(channel, content.channels)
            where = file.line("channels")
            yield f"{place}: channel {channel} is not in the list of line {where}; the nearest one there is {right}."
