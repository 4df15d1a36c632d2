"""What the routes file and the variables mean together: which channels there are, and what cannot stand side by side.

The file by itself is judged in `routes_file`; the table is made in `routing`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dimse_proxy.config.contexts import ROUTES_FILE_NAME
from dimse_proxy.config.secret_files import file_state
from dimse_proxy.config.settings import Settings
from dimse_proxy.config.sources import nearest
from dimse_proxy.config.values import ANY

if TYPE_CHECKING:
    from dimse_proxy.config.routes_file import RoutesFile


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerChannels:
    """The channels that a proxy talks to."""

    peers: tuple[str, ...]
    default: str | None
    """Where what names no channel goes; None where there are several, and none of them was chosen for that."""


def peer_channels(settings: Settings, file: "RoutesFile | None") -> PeerChannels:
    """Return what the variable and the file name, or the other one of A and B."""
    chosen = settings.nats_peer_channel
    named = [] if chosen is None else [chosen]
    if file is not None:
        named += [*file.content.channels, *(channel for channel, _ in file.named_channels())]
    if not named and settings.peer_channel is not None:
        named = [settings.peer_channel]
    peers = tuple(dict.fromkeys(named))
    return PeerChannels(peers=peers, default=chosen or (peers[0] if len(peers) == 1 else None))


def routes_path(settings: Settings) -> Path | None:
    """Return where the routes file is; None if there is none and none is asked for."""
    if settings.routes_file is not None:
        return settings.routes_file
    path = settings.config_path / ROUTES_FILE_NAME
    return path if file_state(path) else None


def problems_together(settings: Settings, file: "RoutesFile | None") -> Iterator[str]:
    """Return one sentence for each thing that cannot stand beside another."""
    channels = peer_channels(settings, file)
    if not channels.peers:
        yield (
            f"DIMSE_NATS_SUBJECT_CHANNEL={settings.nats_subject_channel} has no other side: DIMSE_NATS_PEER_CHANNEL "
            "names it, or a routes file names one or several."
        )
        return
    if channels.default is None:
        yield from _without_channel(settings, file, channels)
    if file is not None:
        yield from _not_in_the_list(settings, file)
        yield from _own_channel(settings, file)
        yield from _every_title(settings, file)
        yield from _aliases(settings, file)
        yield from _targets(settings, file)


def _without_channel(settings: Settings, file: "RoutesFile | None", channels: PeerChannels) -> Iterator[str]:
    """What names no channel, where there are several."""
    which = f"{', '.join(channels.peers)} are there; name one, or choose one for all by DIMSE_NATS_PEER_CHANNEL."
    if not settings.answers_to_default_only and ANY in settings.local_ae_titles:
        yield f"DIMSE_AE={','.join(settings.local_ae_titles)} says * and not to which channel: {which}"
    if settings.move_aliases:
        yield f"DIMSE_MOVE_ALIASES does not say which channel: {which}"
    if file is None:
        return
    for index, local in enumerate(file.content.local):
        if local.channel is None:
            yield f"{file.place('local', index)}: [[local]] without channel: {which}"
    for index, alias in enumerate(file.content.move_alias):
        if alias.channel is None:
            yield f"{file.place('move_alias', index)}: [[move_alias]] without channel: {which}"


def _not_in_the_list(settings: Settings, file: "RoutesFile") -> Iterator[str]:
    chosen, channels = settings.nats_peer_channel, file.content.channels
    if chosen is not None and channels and chosen not in channels:
        yield (
            f"DIMSE_NATS_PEER_CHANNEL={chosen} is not in the list of {file.place('channels')}; the nearest one there "
            f"is {nearest(chosen, channels)}."
        )


def _own_channel(settings: Settings, file: "RoutesFile") -> Iterator[str]:
    own = settings.nats_subject_channel
    places = [place for channel, place in file.named_channels() if channel == own]
    if own in file.content.channels:
        places.insert(0, file.place("channels"))
    for place in dict.fromkeys(places):
        yield f"{place}: {own} is this side's own channel (DIMSE_NATS_SUBJECT_CHANNEL), and not one to talk to."


def _every_title(settings: Settings, file: "RoutesFile") -> Iterator[str]:
    """What takes all that nothing else takes, twice."""
    content = file.content
    if not settings.answers_to_default_only and ANY in settings.local_ae_titles:
        for index, local in enumerate(content.local):
            if local.called == ANY:
                titles = ",".join(settings.local_ae_titles)
                yield (
                    f"DIMSE_AE={titles} and {file.place('local', index, 'called')}: both say where every other called "
                    "AE title goes, and one of them is right."
                )
    if settings.target_host is not None:
        for index, target in enumerate(content.target):
            if ANY in target.asked_for:
                yield (
                    f"DIMSE_TARGET_HOST={settings.target_host} and {file.place('target', index, 'asked_for')}: both "
                    "are the target for every other AE title that is asked for, and one of them is right."
                )


def _aliases(settings: Settings, file: "RoutesFile") -> Iterator[str]:
    content = file.content
    default = peer_channels(settings, file).default
    called = {entry.called: file.place("local", index, "called") for index, entry in enumerate(content.local)}
    called |= {entry.alias: file.place("move_alias", index, "alias") for index, entry in enumerate(content.move_alias)}
    askers = {
        entry.asker: file.place("move_alias", index, "asker")
        for index, entry in enumerate(content.move_alias)
        if (entry.channel or default) == default
    }
    for asker, alias in settings.move_aliases.items():
        if alias in called:
            what = f"called AE title {alias!r} points two ways: one of them is right."
            yield f"DIMSE_MOVE_ALIASES and {called[alias]}: {what}"
        elif asker in askers:
            what = f"asker {asker!r} has two aliases on one channel: one is right."
            yield f"DIMSE_MOVE_ALIASES and {askers[asker]}: {what}"


def _targets(settings: Settings, file: "RoutesFile") -> Iterator[str]:
    for index, target in enumerate(file.content.target):
        place = file.place("target", index)
        if (target.calling or settings.calling_ae) == "own" and settings.own_ae_title is None:
            yield (
                f"{place}: the target would be called with this proxy's own AE title, and DIMSE_AE names none: add one "
                "beside the *, or say which calling AE title is right."
            )
        tls = settings.wants_target_tls if target.tls is None else target.tls
        if tls and not settings.verifies_hostname and settings.tls_truststore is None:
            yield (
                f"{place}: TLS with DIMSE_TLS_VERIFY_HOSTNAME=false would take any certificate of a public authority "
                "for the target's: DIMSE_TLS_TRUSTSTORE is not set."
            )
