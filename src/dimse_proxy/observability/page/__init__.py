"""The status page: one HTML document with its style and script inside, and the pieces that are brought up to date.

Everything is rendered here, escaped, also what the script puts in later: the page shows the same with scripts blocked.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final

from dimse_proxy.observability.page.graph import throughput_graph
from dimse_proxy.observability.page.queues import queues_rows, queues_section
from dimse_proxy.observability.page.words import in_bytes, in_seconds, in_time, under_way, where_to
from dimse_proxy.observability.snapshot import Json, Snapshot

MOST_LIVE: Final = 200
"""Live associations on the page; the API has all."""

MOST_PEERS: Final = 5
"""On their card, those in trouble first."""

_FOLDER: Final = files(__name__)
_CSS: Final = (_FOLDER / "status.css").read_text(encoding="utf-8")
_JS: Final = (_FOLDER / "status.js").read_text(encoding="utf-8")
_HTML: Final = Template((_FOLDER / "status.html").read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src {_hash(_CSS)}; script-src {_hash(_JS)}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing is loaded from anywhere, and no script runs but ours."""


class Page:
    """Renders one process's page."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot: Final = snapshot
        self._ended: tuple[object, str] = (None, "")
        self._graph: tuple[object, str] = (None, "")

    def document(self) -> str:
        """Return the whole page."""
        identity = self._snapshot.identity
        pieces = {key.replace("-", "_"): html for key, html in self.pieces().items()}
        return _HTML.substitute(
            pieces,
            css=_CSS,
            js=_JS,
            channel=escape(identity.channel),
            peer_channel=escape(self._snapshot.peer_channels),
            version=escape(identity.version),
            instance=escape(identity.instance),
            operate=_OPERATE if identity.can_act else "",
            queues_section=queues_section(self._snapshot.queues()),
            act_head='<th scope="col" class="script"><span class="act">Action</span></th>' if identity.can_act else "",
            routes="".join(_row(route["from"], route["called"], route["to"]) for route in self._snapshot.routes()),
            settings="".join(
                _row(entry["variable"], entry["value"], entry["from"]) for entry in self._snapshot.settings()
            ),
        )

    def pieces(self) -> dict[str, str]:
        """Return what changes with time: the HTML within each element, by its id."""
        snapshot = self._snapshot
        status = snapshot.status()
        live = snapshot.live(MOST_LIVE)
        active = status["associations"]["active"]
        left_out = active - len(live)
        return {
            "ready": _badge("ready" if status["ready"] else "not ready", "good" if status["ready"] else "bad"),
            "alert": _alert(status),
            "parts": _parts(status),
            "graph": self._graph_piece(),
            "live": "".join(_live_row(item, can_act=snapshot.identity.can_act) for item in live)
            or '<tr><td colspan="9" class="empty">None at the moment.</td></tr>',
            "live-note": f"The {len(live)} newest of {active} are shown; the API has all." if left_out else "",
            "ended": self._ended_piece(),
            **({"queues": queues_rows(status["queues"])} if status["queues"] else {}),
        }

    def _ended_piece(self) -> str:
        """Rendered again only when there is a new one."""
        ended = self._snapshot.state.ended
        key = (ended[-1].live.number, ended[-1].at, len(ended)) if ended else None
        if key != self._ended[0] or not self._ended[1]:
            rows = "".join(map(_ended_row, self._snapshot.ended()))
            self._ended = (key, rows or '<tr><td colspan="8" class="empty">None yet.</td></tr>')
        return self._ended[1]

    def _graph_piece(self) -> str:
        throughput = self._snapshot.throughput()
        key = (throughput["out"], throughput["in"])
        if key != self._graph[0]:
            self._graph = (key, throughput_graph(throughput["out"], throughput["in"], throughput["seconds"]))
        return self._graph[1]


_OPERATE: Final = """<section class="script" aria-labelledby="operate-title"><h2 id="operate-title">Actions</h2>
<form id="unlock"><label for="token">Token (DIMSE_HTTP_TOKEN)</label>
<input id="token" type="password" autocomplete="off"> <button>Unlock</button>
<button type="button" class="act" data-post="api/v1/target/echo">Test the target (C-ECHO)</button></form>
<p id="said" class="soft" role="status"></p></section>"""


def _badge(text: str, kind: str) -> str:
    return f'<span class="badge {kind}">{escape(text)}</span>'


def _alert(status: Json) -> str:
    reasons, degraded = list(status["reasons"].values()), list(status["degraded"].values())
    return _told("alert", "No association can be carried now.", reasons) + _told(
        "alert degraded", "Not everything works.", degraded
    )


def _told(kind: str, title: str, sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<section class="{kind}"><b>{title}</b><ul>{items}</ul></section>'


def _card(title: str, badge: str, values: Mapping[str, str], reason: str | None = None) -> str:
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" if name else f'<dd class="wide">{escape(value)}</dd>'
        for name, value in values.items()
        if value
    )
    sentence = f'<p class="reason">{escape(reason)}</p>' if reason else ""
    return f"<section><h2>{escape(title)} {badge}</h2><dl>{rows}</dl>{sentence}</section>"


def _parts(status: Json) -> str:
    """The cards: associations, NATS, the other side, the target."""
    associations, rate = status["associations"], status["rate"]
    limit = "" if associations["limit"] is None else f" of {associations['limit']} at most"
    first = (
        f'<section><h2>Associations</h2><div class="figure">{associations["active"]}</div><dl>'
        f"<dt>active</dt><dd>{associations['accepted_here']} accepted, {associations['requested_here']} requested"
        f"{limit}</dd><dt>since start</dt><dd>{associations['requested']} asked for, "
        f"{associations['refused']} refused, {associations['aborted']} aborted</dd>"
        f"<dt>now</dt><dd>{in_bytes(rate['out'])}/s out, {in_bytes(rate['in'])}/s in</dd></dl></section>"
    )
    return first + _nats_card(status["nats"]) + _peers_card(status) + _target_card(status["target"])


def _nats_card(nats: Json) -> str:
    connected = nats["connected"]
    trip = nats["round_trip"]
    return _card(
        "NATS",
        _badge("connected", "good") if connected else _badge("not connected", "bad"),
        {
            "server": nats["server"] if connected else ", ".join(nats["servers"]),
            "round trip": "" if trip is None or not connected else in_seconds(trip),
            "largest message": in_bytes(nats["max_payload"]) if connected else "",
        },
        nats["reason"],
    )


def _peers_card(status: Json) -> str:
    peers = status["peers"]
    usable = [peer for peer in peers["list"] if peer["usable"]]
    values: dict[str, str] = {}
    for peer in sorted(peers["list"], key=lambda peer: peer["usable"])[:MOST_PEERS]:
        name = peer["instance"] if len(peers["channels"]) == 1 else f"{peer['channel']} {peer['instance']}"
        values[name] = f"version {peer['version']}, {_peer_state(peer)}"
    if len(peers["list"]) > MOST_PEERS:
        values["more"] = str(len(peers["list"]) - MOST_PEERS)
    badge = _badge(f"{len(usable)} present", "wait" if peers["reason"] else "good")
    if not usable:
        badge = _badge("nobody there", "bad")
    if not status["nats"]["connected"]:
        badge, values, reason = _badge("unknown", "wait"), {"": "Without NATS, nobody is heard."}, None
    else:
        reason = peers["reason"]
    return _card(f"Peers on channel {status['peer_channel']}", badge, values, reason)


def _peer_state(peer: Json) -> str:
    if not peer["present"]:
        return f"not heard for {in_seconds(peer['heard'])}"
    if not peer["compatible"]:
        return "another version of the tunnel's protocol"
    return f"{peer['associations']} associations{', shutting down' if peer['going_away'] else ''}"


def _target_card(target: Json) -> str:
    if not target["configured"]:
        return _card("Target", _badge("none", ""), {"": "This proxy only originates associations."})
    states = {None: ("not asked yet", "wait"), True: ("reachable", "good"), False: ("not reachable", "bad")}
    return _card("Target", _badge(*states[target["reachable"]]), {"AE": target["address"]}, target["reason"])


def _ends(item: Json) -> str:
    way = "accepted here" if item["side"] == "acceptor" else "from the other side"
    return (
        f"<td>{escape(item['calling'] or '?')}<small>{escape(item['peer'])}</small></td>"
        f"<td>{escape(item['called'] or '?')}<small>{escape(where_to(item) or way)}</small></td>"
        f"<td>{_services(item)}</td>"
        f'<td class="number">{in_bytes(item["bytes_out"])}</td><td class="number">{in_bytes(item["bytes_in"])}</td>'
    )


def _services(item: Json) -> str:
    words = [f"{service} {count}" for service, count in item["services"].items()]
    trouble = [f"{item['failures']} failed"] if item["failures"] else []
    trouble += [f"{service} {count} not allowed" for service, count in item["operations_refused"].items()]
    if "in_progress" in item and (now := under_way(item)):
        trouble.append(now)
    if item.get("unanswered"):
        trouble.append(f"unanswered: {item['unanswered']}")
    small = f"<small>{escape('; '.join(trouble))}</small>" if trouble else ""
    return escape(", ".join(words)) + small


def _live_row(item: Json, *, can_act: bool) -> str:
    number = item["number"]
    state = "" if item["state"] == "open" else "<small>waits for the answer</small>"
    action = (
        f'<td class="script"><button class="act" data-sure data-post="api/v1/associations/{number}/abort" '
        f'aria-label="Abort association {number}">Abort</button></td>'
        if can_act
        else ""
    )
    return (
        f'<tr id="live-{number}"><td class="number">{number}{state}</td>{_ends(item)}'
        f'<td class="number">{in_bytes(item["rate"])}/s</td><td class="number">{in_seconds(item["age"])}</td>'
        f"{action}</tr>"
    )


def _ended_row(item: Json) -> str:
    is_good = item["cause"] == "released"
    badge = _badge(item["cause"], "good" if is_good else "bad")
    sentence = "" if is_good else f"<small>{escape(item['outcome'])}</small>"
    at = datetime.fromtimestamp(item["ended"], UTC)
    return (
        f'<tr id="ended-{item["number"]}"><td class="number">{in_time(at)}</td>{_ends(item)}'
        f'<td class="number">{in_seconds(item["duration"])}</td><td class="outcome">{badge}{sentence}</td></tr>'
    )


def _row(*cells: Any) -> str:
    return "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells) + "</tr>"
