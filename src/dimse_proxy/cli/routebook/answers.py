"""Where one association would go, with all lists that judge it: from this network, and from each other channel.

Values that JSON has, and sentences for people. Nothing here prints.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dimse_proxy.config.settings import Settings
from dimse_proxy.errors import AssociationRejected
from dimse_proxy.proxy.callbacks import call_back
from dimse_proxy.proxy.policy import Networks, Operations, Policy
from dimse_proxy.proxy.refusals import Refused, answer_of
from dimse_proxy.proxy.routes import ANY, AskedFor, Routes, Target, Way

Json = dict[str, Any]


def answers_to(settings: Settings, policy: Policy, called: str, calling: str | None) -> Iterator[Json]:
    """Say where an association goes that calls `called`.

    Args:
        settings: of this proxy.
        policy: of this proxy.
        called: AE title.
        calling: AE title; None for any.
    """
    yield _answer_out(settings, policy, called, calling)
    for channel in policy.routes.channels:
        yield _answer_in(settings, policy, AskedFor(channel=channel, called=called), calling)


def _answer_out(settings: Settings, policy: Policy, called: str, calling: str | None) -> Json:
    allowed = policy.allowed_calling if calling is not None else (ANY,)
    here = replace(policy, allowed_hosts=(), allowed_calling=allowed)
    answer = _answer("this network", called, calling)
    try:
        asked = here.admit(called=called, calling=calling or "", host="")
    except AssociationRejected as rejected:
        return answer | {
            "goes": False,
            "to": _refused(str(rejected), rejected.result, rejected.source, rejected.reason),
        }
    alias = f", whose Move alias {called} is" if asked.is_alias else ""
    return answer | {
        "goes": True,
        "to": f"channel {asked.channel}, asked for {asked.called}{alias}",
        "only_if": _conditions("", policy.allowed_calling if calling is None else (), policy.allowed_hosts),
        "operations": _operations(policy.operations_out),
        "contexts": _contexts(policy.decide_context is not None, settings.config_path),
    }


def _answer_in(settings: Settings, policy: Policy, asked: AskedFor, calling: str | None) -> Json:
    answer = _answer(f"channel {asked.channel}", asked.called, calling)
    way = policy.way(asked)
    if isinstance(way, Refused):
        return answer | {"goes": False, "to": _refused(way.text, *answer_of(way.code))}
    refused = _refused_in(policy, asked, calling)
    if refused is not None:
        return answer | {"goes": False, "to": _refused(refused.text, *answer_of(refused.code))}
    return answer | {
        "goes": True,
        "to": f"{_where(way)}, with {_seen(policy.routes, way, asked, calling)} as calling AE title",
        "call_back": _called_back(policy.routes, way, asked, calling),
        "only_if": _conditions("_IN", policy.allowed_calling_in if calling is None else (), policy.allowed_hosts_in),
        "operations": _operations(policy.operations_in),
        "contexts": _contexts(policy.decide_context_in is not None, settings.config_path_in or settings.config_path),
    }


def _answer(origin: str, called: str, calling: str | None) -> Json:
    return {"from": origin, "called": called, "calling": calling}


def _refused_in(policy: Policy, asked: AskedFor, calling: str | None) -> Refused | None:
    allowed = policy.allowed_calling_in if calling is not None else (ANY,)
    here = replace(policy, allowed_hosts_in=(), allowed_calling_in=allowed)
    return here.refusal_in(called=asked.called, calling=calling or "", peer="")


def _where(way: Way) -> str:
    target = way.target
    hosts = ", then ".join(map(str, target.hosts))
    return f"{way.called}@{hosts}{' with TLS' if target.has_tls else ''}"


def _seen(routes: Routes, way: Way, asked: AskedFor, calling: str | None) -> str:
    if calling is None:
        return calling_described(routes, way.target)
    return routes.calling_title(way.target, channel=asked.channel, calling=calling)


def _called_back(routes: Routes, way: Way, asked: AskedFor, calling: str | None) -> str | None:
    """Whether storage commitment on an association of the target's own finds back; None without an asker."""
    if calling is None:
        return None
    if call_back(routes, way.target, asked, calling) is not None:
        return f"it can call {calling} back, on channel {asked.channel}"
    return f"it cannot call {calling} back (N-EVENT-REPORT on an association of its own)"


def _conditions(suffix: str, titles: tuple[str, ...], hosts: Networks) -> list[str]:
    """What could not be judged, because it was not said who asks, or from where."""
    conditions = []
    if titles and ANY not in titles:
        conditions.append(f"its calling AE title is in DIMSE_ALLOWED_CALLING_AES{suffix}: {', '.join(titles)}")
    if hosts:
        conditions.append(f"its address is in DIMSE_ALLOWED_HOSTS{suffix}: {', '.join(map(str, hosts))}")
    return conditions


def _operations(operations: Operations) -> str:
    allowed = ", ".join(sorted(operations.allowed))
    return allowed + "".join(f", !{word}" for word in sorted(operations.excluded))


def _contexts(is_filtered: bool, folder: Path) -> str:
    return f"those that {folder} lets pass" if is_filtered else "all"


def _refused(text: str, result: int, source: int, reason: int) -> str:
    return f"refused (result {result}, source {source}, reason {reason}): {text}"


def calling_described(routes: Routes, target: Target) -> str:
    """Say as whom a target is called, for people."""
    match target.calling:
        case "own":
            return f"{routes.own_ae_title} (own)"
        case "original":
            return "the asker's own title"
        case "alias":
            return "the asker's alias, or its own title"
        case fixed:
            return fixed
