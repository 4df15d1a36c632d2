"""What can be wrong beyond NATS: the other side's proxy, its version and clock, its target; and this side's own target.

The way to the other side's target is gone as `dimse-proxy echo` goes it, once.
"""

import re
import time
from typing import Final

from dimse_proxy import __version__
from dimse_proxy.cli.diagnosis.findings import Report
from dimse_proxy.config.settings import Settings
from dimse_proxy.proxy.echo import EchoError, EchoProbe
from dimse_proxy.proxy.refusals import RefusalCode
from dimse_proxy.proxy.requestor import Connect
from dimse_proxy.proxy.routes import ANY, AskedFor, Routes, Target
from dimse_proxy.proxy.target_check import TargetError, check_target
from dimse_proxy.transports.nats_connection import NatsOptions
from dimse_proxy.transports.streams import Address
from dimse_proxy.tunnel.events import Peer
from dimse_proxy.tunnel.tunnel import Tunnel

PEER: Final = "peer proxy"
VERSION: Final = "peer version"
CLOCK: Final = "clock difference"
FAR_TARGET: Final = "other side's target"
OWN_TARGET: Final = "own target"

CLOCK_LIMIT: Final = 2.0
"""Seconds of difference beyond which logs and audit trails of both sides cannot be laid side by side."""
SLOW_HOP: Final = 2.0
"""Seconds of one hop that are worth a warning."""

_CODE: Final = re.compile(r"\(([a-z-]+)\)$")
_REMEDIES: Final = {
    RefusalCode.NO_TARGET: "Set DIMSE_TARGET_HOST, _PORT and _AE at the other side, if anything is to be sent there.",
    RefusalCode.NO_ROUTE: "Add a target for that AE title and this channel to the routes file at the other side.",
    RefusalCode.TARGET_UNREACHABLE: "Start the AE behind the other side's proxy, or correct DIMSE_TARGET_HOST there.",
    RefusalCode.TARGET_TIMEOUT: "The AE behind the other side's proxy takes connections and says nothing: look there.",
    RefusalCode.TARGET_CLOSED: "The AE behind the other side's proxy closes connections: see whether it speaks DICOM "
    "there, and whether it wants TLS (DIMSE_TARGET_TLS_ENABLED).",
    RefusalCode.CALLING_NOT_ALLOWED: "Add this side's AE title to DIMSE_ALLOWED_CALLING_AES_IN at the other side.",
    RefusalCode.CALLED_NOT_ALLOWED: "Add the called AE title to DIMSE_ALLOWED_CALLED_AES_IN at the other side.",
    RefusalCode.NOT_ALLOWED: "See DIMSE_ALLOWED_HOSTS_IN at the other side.",
    RefusalCode.LIMIT: "The other side is full (DIMSE_MAX_ASSOCIATIONS): wait, or raise its limit.",
    RefusalCode.RATE: "Too many associations a second at the other side (DIMSE_MAX_ASSOCIATION_RATE): wait.",
    RefusalCode.SHUTTING_DOWN: "Start the other side's proxy again.",
}
_ONE_WAY: Final = (
    "This is right if nobody at this side calls. If somebody does, set DIMSE_TARGET_HOST, _PORT and _AE at the other "
    "side."
)
_NOBODY: Final = (
    "Start the proxy at the other side; both need the same NATS system and DIMSE_NATS_SUBJECT_ROOT, and each the "
    "other's channel (DIMSE_NATS_SUBJECT_CHANNEL, DIMSE_NATS_PEER_CHANNEL)."
)


class _Probe(EchoProbe):
    """Goes the whole way, and looks at the peers' clocks when they say hello."""

    def __init__(self, tunnel: Tunnel, options: NatsOptions, *, called: str, calling: str, timeout: float) -> None:
        super().__init__(tunnel=tunnel, options=options, called=called, calling=calling, timeout=timeout)
        self.met: dict[str, tuple[Peer, float]] = {}
        """By instance: the peer, and how far its clock is ahead, seconds."""
        self._own_tunnel: Final = tunnel

    def peer_appeared(self, channel: str, instance: str, version: str) -> None:
        """A proxy said hello."""
        for peer in self._own_tunnel.peers():
            if peer.instance == instance and peer.time is not None:
                self.met[instance] = (peer, peer.time / 1000 - time.time())
        super().peer_appeared(channel, instance, version)


def asked_for(routes: Routes) -> list[AskedFor]:
    """What to ask each channel for: the first local AE that is there, by its name; else this proxy's own title."""
    own = routes.own_ae_title or "DIMSEPROXY"
    named = (routes.project(local.called) for local in routes.local_aes if local.called != ANY)
    first: dict[str, AskedFor] = {}
    for asked in named:
        if asked is not None:
            first.setdefault(asked.channel, asked)
    return [first.get(channel, AskedFor(channel=channel, called=own)) for channel in routes.channels]


async def check_far_side(
    report: Report, settings: Settings, options: NatsOptions, tunnel: Tunnel, asked: AskedFor, *, is_one_way: bool
) -> None:
    """Go the way to a target of another channel, and say where it ends.

    Args:
        report: where to say it.
        settings: of this side.
        options: how to reach NATS.
        tunnel: a new one, which accepts nothing.
        asked: for what, and where.
        is_one_way: this side has a target, so that associations may be meant to come from the other side only.
    """
    own = settings.own_ae_title or "DIMSEPROXY"
    probe = _Probe(tunnel, options, called=asked.called, calling=own, timeout=settings.nats_reply_timeout)
    failure = ""
    try:
        await probe.run(asked.channel)
    except EchoError as error:
        failure = str(error)
    hops = {hop.name: hop for hop in probe.hops}
    if "peer found" not in hops:
        remedy = "Give both sides the same DIMSE_TUNNEL_KEY." if "DIMSE_TUNNEL_KEY" in failure else _NOBODY
        report.error(PEER, failure, remedy)
        return
    report.good(PEER, hops["peer found"].detail, hops["peer found"].seconds)
    _look_at_peers(report, probe.met)
    for name in ("peer proxy", "association with the target", "C-ECHO", "release"):
        if name in hops and not failure:
            hop = hops[name]
            if hop.seconds > SLOW_HOP:
                report.warning(f"hop: {name}", f"{hop.seconds:.1f} s", "Look for what is slow on this hop.")
            else:
                report.good(f"hop: {name}", hop.detail or "done", hop.seconds)
    if failure and is_one_way and _code(failure) == RefusalCode.NO_TARGET:
        report.warning(FAR_TARGET, failure, _ONE_WAY)
    elif failure:
        report.error(FAR_TARGET, failure, _far_remedy(failure))
    else:
        report.good(FAR_TARGET, "answers C-ECHO with success, from end to end")


def _look_at_peers(report: Report, met: dict[str, tuple[Peer, float]]) -> None:
    for peer, ahead in met.values():
        if not peer.accepts:
            continue
        if peer.version == __version__:
            report.good(VERSION, f"{peer.instance} has {peer.version}, as this side")
        else:
            text = f"{peer.instance} has {peer.version}, this side {__version__}"
            report.warning(VERSION, text, "Update the older one; different versions work together meanwhile.")
        if abs(ahead) > CLOCK_LIMIT:
            way = "ahead of" if ahead > 0 else "behind"
            text = f"the clock of {peer.instance} is {abs(ahead):.0f} s {way} this side's"
            report.warning(CLOCK, text, "Have both machines keep time by NTP.")
        else:
            report.good(CLOCK, f"{abs(ahead) * 1000:.0f} ms at most")


def _code(failure: str) -> str:
    code = _CODE.search(failure)
    return "" if code is None else code[1]


def _far_remedy(failure: str) -> str:
    code = _code(failure)
    if code in _REMEDIES:
        return _REMEDIES[RefusalCode(code)]
    if "rejected the association" in failure:
        return (
            "Have the target accept this calling AE title, or choose another one (DIMSE_CALLING_AE at the other side)."
        )
    return "Look at the log of the other side's proxy at this time; it has the reason."


async def check_own_targets(report: Report, settings: Settings, routes: Routes, connect: Connect) -> None:
    """Send each host of this side's own targets a C-ECHO."""
    if not routes.targets:
        report.good(OWN_TARGET, "none: this proxy only originates associations")
    for target in routes.targets:
        for host in target.hosts:
            await _check_host(report, settings, routes, target, host, connect)


async def _check_host(
    report: Report, settings: Settings, routes: Routes, target: Target, host: Address, connect: Connect
) -> None:
    where = target.address(target.title_for_tests, host)
    try:
        seconds = await check_target(routes, target, host, connect, accept_timeout=settings.accept_timeout)
    except TargetError as error:
        text = str(error)
        remedy = "Start that AE, or correct its host and port (DIMSE_TARGET_HOST and DIMSE_TARGET_PORT, or its route)."
        if "rejected the association" in text:
            remedy = (
                "Have it accept this calling AE title, or set DIMSE_CALLING_AE and DIMSE_TARGET_AE, or its route, to "
                "what it knows."
            )
        elif "TLS" in text or "certificate" in text:
            remedy = "Make both sides speak TLS or neither (DIMSE_TARGET_TLS_ENABLED), and trust its certificate."
        report.error(OWN_TARGET, f"{where}: {text}", remedy)
    else:
        report.good(OWN_TARGET, f"{where} answers C-ECHO with success", seconds)
