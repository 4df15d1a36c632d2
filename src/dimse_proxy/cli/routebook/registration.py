"""What to enter in each PACS, modality and workstation of this network, as Markdown to hand over.

Made from the table of routes. Each AE needs two things: the proxy's entries as AEs that it may call, and the proxy's
calling AE titles as ones that it accepts.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address
from typing import Final

from dimse_proxy.config.settings import Settings
from dimse_proxy.proxy.callbacks import call_back_troubles
from dimse_proxy.proxy.routes import ANY, LocalAe, Routes, Target

ADDRESS_WANTED: Final = "(the address of the proxy)"
"""Where this proxy listens on every address, and nobody said by which one it is found."""


def registration(settings: Settings, routes: Routes, *, address: str | None = None) -> str:
    """Write the whole document.

    Args:
        settings: of this proxy.
        routes: its table.
        address: where AEs of this network find the proxy; by default the one it listens on, if it is one.
    """
    where = address or _own_address(settings)
    parts = [
        f"# What to register for channel {settings.nats_subject_channel}",
        "What AEs of this network have to know of the proxy, and the proxy of them. `dimse-proxy routes --register` "
        "writes it from the settings and the routes file; write it anew when they change.",
        *_local(settings, routes, where),
        *_aliases(settings, routes, where),
        *_targets(settings, routes, where),
        *_others(routes),
    ]
    troubles = [f"- {trouble}." for trouble in call_back_troubles(routes)]
    if troubles:
        parts += ["## Calling back", "\n".join(troubles)]
    return "\n\n".join(parts) + "\n"


def _own_address(settings: Settings) -> str:
    try:
        is_everywhere = ip_address(settings.host).is_unspecified
    except ValueError:
        is_everywhere = False
    return ADDRESS_WANTED if is_everywhere else settings.host


def _listeners(settings: Settings) -> tuple[str, str]:
    """Port and TLS of the listener, or of both."""
    if settings.tls_port is not None:
        return f"{settings.port} / {settings.tls_port}", "no / yes"
    return str(settings.port), "yes" if settings.tls_enabled else "no"


def _local(settings: Settings, routes: Routes, where: str) -> Iterator[str]:
    yield "## In modalities, workstations and whatever else calls other sites"
    if not routes.local_aes:
        yield "Nothing: no AE of another site is to be called from here."
        return
    port, tls = _listeners(settings)
    yield "Enter these as remote AEs. They are AEs of other sites; the proxy stands in for all of them at one address."
    yield _table(
        ("AE title", "address", "port", "TLS", "is"),
        (
            (
                _title(local.called),
                where,
                port,
                tls,
                _what(routes, local),
            )
            for local in routes.local_aes
        ),
    )
    allowed = [title for title in settings.allowed_calling_aes if title != ANY]
    if allowed and ANY not in settings.allowed_calling_aes:
        yield f"Only these calling AE titles are let in (DIMSE_ALLOWED_CALLING_AES): {_titles(allowed)}."


def _what(routes: Routes, local: LocalAe) -> str:
    """What stands behind a called AE title."""
    itself = "this proxy itself, and " if local.called == routes.own_ae_title else ""
    asked = "the AE of that title" if local.ask_for is None else _title(local.ask_for)
    return f"{itself}{asked} at channel {local.channel}"


def _aliases(settings: Settings, routes: Routes, where: str) -> Iterator[str]:
    if not routes.move_aliases:
        return
    port, tls = _listeners(settings)
    yield "## In each PACS: the Move destinations of other sites"
    yield (
        "An asker of another site is known here by its alias. Enter the aliases as remote AEs that the PACS may send "
        "to; an archive that sees them as calling AE titles also calls them back to report a storage commitment."
    )
    yield _table(
        ("AE title", "address", "port", "TLS", "is"),
        (
            (_title(entry.alias), where, port, tls, f"the asker {_title(entry.asker)} at channel {entry.channel}")
            for entry in routes.move_aliases
        ),
    )


def _targets(settings: Settings, routes: Routes, where: str) -> Iterator[str]:
    yield "## In each AE that the proxy calls: as whom it calls"
    if not routes.targets:
        yield "Nothing: no AE of this network may be asked for by another site."
        return
    yield f"Let these calling AE titles in, from {_source(settings, where)}."
    yield _table(
        ("AE", "at", "TLS", "calling AE title", "asked for by"),
        (
            (
                _title(target.ae_title) if target.ae_title else "as asked for",
                ", then ".join(map(str, target.hosts)),
                "yes" if target.has_tls else "no",
                _calling(routes, target),
                f"channel {', '.join(target.channels)}",
            )
            for target in routes.targets
        ),
    )


def _source(settings: Settings, where: str) -> str:
    return settings.bind_host or where


def _calling(routes: Routes, target: Target) -> str:
    match target.calling:
        case "own":
            return _title(routes.own_ae_title)
        case "original":
            return "that of each asker itself"
        case "alias":
            aliases = [alias for channel in target.channels for alias in routes.aliases(channel).values()]
            others = "that of each asker without alias"
            return f"{_titles(aliases)}; {others}" if aliases else others
        case fixed:
            return _title(fixed)


def _others(routes: Routes) -> Iterator[str]:
    """For whoever writes the routes of the other channels."""
    yield "## For the other channels: what they may ask for here"
    if not routes.targets:
        yield "Nothing."
        return
    asked_for = {
        channel: [title for target in routes.targets if channel in target.channels for title in target.asked_for]
        for channel in routes.channels
    }
    yield _table(
        ("channel", "AE titles", "Move Destinations that are known here"),
        (
            (channel, _titles(titles) or "none", _titles(routes.aliases(channel)) or "none")
            for channel, titles in asked_for.items()
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _titles(titles: Iterable[str]) -> str:
    return ", ".join(_title(title) for title in titles)


def _title(title: str) -> str:
    if title == ANY:
        return "any other"
    return f"`{title.replace('|', chr(92) + '|')}`"
