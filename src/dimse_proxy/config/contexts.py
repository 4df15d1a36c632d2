"""The dimse-config folder: which abstract and transfer syntaxes may pass, service by service.

`load_contexts` reads the folder once; the `ContextFilter` it gives is pure. Nothing here reads or writes an
A-ASSOCIATE-RQ: that is for `proxy.policy` and `upper_layer.negotiation`.

Three services have two files each, `IMAGE_`, `QUERY_` and `SERVICE_` with `CUIDS` (SOP classes) and `TSUIDS`
(transfer syntaxes). A file that is missing filters nothing: without its CUIDS file every SOP class of a service may
pass, without its TSUIDS file every transfer syntax. An abstract syntax that stands in a CUIDS file belongs to that
file's service; one that stands in none belongs to the service of its kind (`service_of`).
"""

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dimse_proxy.config.problems import shown
from dimse_proxy.config.sop_classes import QUERY_SOP_CLASSES, SERVICE_SOP_CLASSES
from dimse_proxy.errors import ConfigError

if TYPE_CHECKING:
    from dimse_proxy.config.settings import Settings

VERIFICATION: Final = "1.2.840.10008.1.1"

ROUTES_FILE_NAME: Final = "routes.toml"
"""A file of the folder that is none of its lists: `routes_file` reads it."""

_ALL: Final = "*"
_UID: Final = re.compile(r"[012](\.[0-9]+)+")  # leading zeros are wrong (PS3.5 9.1), but met in the field
_UID_LENGTH: Final = 64  # PS3.5 9.1


class Service(Enum):
    """A service of the folder; the value begins the names of its two files."""

    IMAGE = "IMAGE"
    QUERY = "QUERY"
    SERVICE = "SERVICE"

    @property
    def sop_class_file(self) -> str:
        """Name of the file that lists SOP classes."""
        return f"{self.value}_CUIDS"

    @property
    def transfer_syntax_file(self) -> str:
        """Name of the file that lists transfer syntaxes."""
        return f"{self.value}_TSUIDS"


def service_of(abstract_syntax: str) -> Service:
    """Return the service an abstract syntax is of by its kind.

    What the standard does not name counts as storage: private storage SOP classes are what existing deployments add.
    """
    if abstract_syntax in QUERY_SOP_CLASSES:
        return Service.QUERY
    if abstract_syntax in SERVICE_SOP_CLASSES:
        return Service.SERVICE
    return Service.IMAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class UidList:
    """The content of one file."""

    uids: frozenset[str]
    every: bool
    """Whether it holds a `*`."""

    def __contains__(self, uid: str) -> bool:
        return self.every or uid in self.uids


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextFilter:
    """What may pass. Without any list, everything may."""

    sop_classes: Mapping[Service, UidList] = field(default_factory=dict)
    """A service that is missing has no such file."""
    transfer_syntaxes: Mapping[Service, UidList] = field(default_factory=dict)
    """A service that is missing has no such file."""

    def decide(self, abstract_syntax: str, transfer_syntaxes: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the transfer syntaxes that may pass, in their order; None when the abstract syntax may not.

        An empty tuple means that the abstract syntax may pass, but none of its transfer syntaxes.
        """
        if abstract_syntax == VERIFICATION:
            return transfer_syntaxes
        services = self._naming(abstract_syntax)
        if not services:
            by_kind = service_of(abstract_syntax)
            sop_classes = self.sop_classes.get(by_kind)
            if sop_classes is not None and abstract_syntax not in sop_classes:
                return None
            services = (by_kind,)
        if any(service not in self.transfer_syntaxes for service in services):
            return transfer_syntaxes
        lists = [self.transfer_syntaxes[service] for service in services]
        return tuple(uid for uid in transfer_syntaxes if any(uid in allowed for allowed in lists))

    def _naming(self, abstract_syntax: str) -> tuple[Service, ...]:
        """Return the services whose CUIDS file names the abstract syntax itself."""
        return tuple(service for service, listed in self.sop_classes.items() if abstract_syntax in listed.uids)


def load_both(settings: "Settings") -> "tuple[ContextFilter | None, ContextFilter | None]":
    """Read the folder for associations that are accepted here, and the one for those that arrive through the tunnel.

    Raises:
        ConfigError: as of `load_contexts`.
    """
    problems: list[str] = []
    filters: list[ContextFilter | None] = []
    for variable, folder in (
        ("DIMSE_CONFIG_PATH", settings.config_path),
        ("DIMSE_CONFIG_PATH_IN", settings.config_path_in),
    ):
        if folder is None:
            continue
        try:
            filters.append(load_contexts(folder, variable=variable))
        except ConfigError as error:
            problems += error.problems
        else:
            if variable == "DIMSE_CONFIG_PATH_IN" and filters[-1] is None:
                problems.append(f"{variable}={folder}: there is no such folder.")
    if problems:
        raise ConfigError(problems)
    return filters[0], filters[-1]


def load_contexts(folder: Path, *, variable: str = "DIMSE_CONFIG_PATH") -> ContextFilter | None:
    """Read the dimse-config folder; None when there is no such folder, and nothing is filtered.

    Raises:
        ConfigError: with every problem found: a bad line with file and line number, a folder without any of the files.
    """
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError([f"{variable}={folder}: {error.strerror or 'it cannot be read'}."]) from None
    if not is_folder:
        raise ConfigError([f"{variable}={folder}: this is not a folder."])
    problems: list[str] = []
    sop_classes = _read_lists({service: folder / service.sop_class_file for service in Service}, problems)
    transfer_syntaxes = _read_lists({service: folder / service.transfer_syntax_file for service in Service}, problems)
    if not problems and not sop_classes and not transfer_syntaxes and not (folder / ROUTES_FILE_NAME).exists():
        names = ", ".join(
            name for service in Service for name in (service.sop_class_file, service.transfer_syntax_file)
        )
        problems.append(
            f"{variable}={folder}: config folder without files. At least one of {names} is right, or no "
            "folder at all to let everything pass."
        )
    if problems:
        raise ConfigError(problems)
    return ContextFilter(sop_classes=sop_classes, transfer_syntaxes=transfer_syntaxes)


def _read_lists(files: Mapping[Service, Path], problems: list[str]) -> dict[Service, UidList]:
    lists: dict[Service, UidList] = {}
    for service, path in files.items():
        try:
            # Names are for people, so their encoding is not worth an error; UIDs are ASCII in every one.
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{path}: {error.strerror or 'it cannot be read'}.")
            continue
        lists[service] = _parse(text, path, problems)
    return lists


def _parse(text: str, path: Path, problems: list[str]) -> UidList:
    """Read the lines `Name:UID` or `*` of one file; a name may be left out, and may hold colons."""
    uids: set[str] = set()
    every = False
    for number, line in enumerate(text.splitlines(), start=1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        uid = entry.rpartition(":")[2].strip()
        if uid == _ALL:
            every = True
        elif _UID.fullmatch(uid) and len(uid) <= _UID_LENGTH:
            uids.add(uid)
        else:
            problems.append(f"{path}:{number}: {shown(uid)!r} is not a UID. A line is Name:UID, or * for all.")
    return UidList(uids=frozenset(uids), every=every)
