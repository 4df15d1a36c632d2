"""Whether an archive that calls back reaches who asked it: N-EVENT-REPORT on an association of its own (PS3.4 J.3.3).

It calls the AE that it saw as the calling one. So that title must be the asker's own, or its Move alias, and lead back
to the asker's channel at this proxy's listener. Pure; for `dimse-proxy routes` to warn, nothing is refused for it.
"""

from collections.abc import Iterator

from dimse_proxy.proxy.routes import CALLING_ALIAS, CALLING_ORIGINAL, AskedFor, Routes, Target


def call_back(routes: Routes, target: Target, asked: AskedFor, calling: str) -> AskedFor | None:
    """What this proxy asks for when a target calls back the AE that asked it; None if it is not reached.

    Args:
        routes: the table.
        target: that was called.
        asked: what it was asked for, with the channel.
        calling: the asker's own AE title.
    """
    seen = routes.calling_title(target, channel=asked.channel, calling=calling)
    back = routes.project(seen)
    return back if back is not None and (back.channel, back.called) == (asked.channel, calling) else None


def call_back_troubles(routes: Routes) -> Iterator[str]:
    """A sentence for each target and channel from which nobody, or not everybody, can be called back."""
    for target in routes.targets:
        for channel in target.channels:
            trouble = _trouble(routes, target, channel)
            if trouble is not None:
                yield f"{target.name} {trouble}"


def _trouble(routes: Routes, target: Target, channel: str) -> str | None:
    match target.calling:
        case "own":
            return _one_title_for_all(routes, channel, routes.own_ae_title)
        case "original" | "alias":
            if target.calling == CALLING_ALIAS and routes.aliases(channel):
                return None
            if any(local.channel == channel and local.ask_for in (None, local.called) for local in routes.local_aes):
                return None
            return (
                f"cannot call back who asks from channel {channel}: it sees their own AE titles, and none that this "
                "proxy answers to leads to an AE of that name there"
            )
        case fixed:
            return _one_title_for_all(routes, channel, fixed)


def _one_title_for_all(routes: Routes, channel: str, title: str) -> str | None:
    """Right only where one AE asks: the title is its alias, or leads to it."""
    if title in routes.aliases(channel).values():
        return None
    needed = (
        f"storage commitment and other reports on an association of its own (PS3.4 J.3.3) need `calling` "
        f"{CALLING_ORIGINAL} or {CALLING_ALIAS}"
    )
    seen = f"it sees {title} as the calling AE title of everybody, and calls that"
    back = routes.project(title)
    if back is not None and back.channel == channel:
        return (
            f"calls back one AE for all who ask from channel {channel}: {seen}, which asks for {back.called} there. "
            f"Where several ask, {needed}"
        )
    return f"cannot call back who asks from channel {channel}: {seen}: {needed}"
