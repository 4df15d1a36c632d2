"""The queues on the status page: a section with a row for each flow, and one for each AE title that objects are for.

Everything is escaped here: AE titles come from SCUs, sentences from targets.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from string import Template
from typing import Final

from dimse_proxy.observability.counts import OUT
from dimse_proxy.observability.page.words import in_bytes, in_seconds, in_time, queue_name, queue_state
from dimse_proxy.observability.queue_view import GOOD
from dimse_proxy.observability.snapshot import Json

_KINDS: Final = {"unusable": "bad", "alarm": "bad", "resting": "wait", "waiting": "good", "empty": "good", GOOD: "good"}

_COLUMNS: Final = (
    ("Queue", ""),
    ("State", ""),
    ("Waiting", "number"),
    ("Bytes", "number"),
    ("Oldest", "number"),
    ("Rate", "number"),
    ("Dead letters", "number"),
    ("Since start", ""),
)
_HEAD: Final = "".join(
    f'<th scope="col" class="{kind}">{title}</th>' if kind else f'<th scope="col">{title}</th>'
    for title, kind in _COLUMNS
)
_SECTION: Final = Template(
    f"""<section aria-labelledby="queues-title">
<h2 id="queues-title">Queues</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="queues-title">
<table>
<thead><tr>{_HEAD}</tr></thead>
<tbody id="queues">$rows</tbody>
</table></div>
</section>"""
)


def queues_section(queues: Sequence[Json]) -> str:
    """Return the section; empty where nothing is queued."""
    return _SECTION.substitute(rows=queues_rows(queues)) if queues else ""


def queues_rows(queues: Sequence[Json]) -> str:
    """Return its rows."""
    return "".join(_flow_row(queue) + "".join(_target_rows(queue)) for queue in queues)


def _flow_row(queue: Json) -> str:
    small = f"<small>{escape(text)}</small>" if (text := _trouble(queue)) else ""
    waiting, dead = queue["waiting"], queue["dead"]
    rate, oldest = queue["rate"], queue["oldest"]
    limit = "" if queue["limit"] is None else f"<small>of {in_bytes(queue['limit'])}</small>"
    unreadable = f"<small>{queue['unreadable']} unreadable</small>" if queue["unreadable"] else ""
    cells = (
        f'<th scope="row">{escape(queue_name(queue))}</th>',
        f'<td class="outcome">{_flow_badge(queue)}{small}</td>',
        _number("" if waiting is None else str(waiting)),
        _number("" if queue["bytes"] is None else f"{in_bytes(queue['bytes'])}{limit}"),
        _number("" if oldest is None else in_seconds(oldest)),
        _number(f"{rate['objects']:.1f}/s<small>{in_bytes(rate['bytes'])}/s</small>"),
        _number(f"{'' if dead is None else dead}{unreadable}"),
        f"<td>{escape(_since_start(queue))}</td>",
    )
    return f'<tr id="{_row_id(queue)}">{"".join(cells)}</tr>'


def _target_rows(queue: Json) -> list[str]:
    return [
        f'<tr id="{_row_id(queue)}-{number}"><td class="below">for {escape(target["called"])}</td>'
        f'<td class="outcome">{_target_badge(queue, target)}{_small(target["reason"])}</td>'
        "<td></td><td></td><td></td><td></td>"
        f"{_number(str(target['given_up']) if target['given_up'] else '')}"
        f"<td>{target['objects']} {'queued' if queue['direction'] == OUT else 'delivered'}</td></tr>"
        for number, target in enumerate(sorted(queue["targets"], key=lambda target: str(target["called"])))
    ]


def _target_badge(queue: Json, target: Json) -> str:
    """How it is; at the side that accepts nobody knows."""
    return "" if queue["direction"] == OUT else _badge(target["state"], _target_state(target))


def _target_state(target: Json) -> str:
    if target["state"] == GOOD:
        return "takes objects"
    word = "needs somebody" if target["state"] == "alarm" else "rests"
    left = target["rests_for"]
    return f"{word}, tried again in {in_seconds(left)}" if left >= 1 else f"{word}, is tried again now"


def _trouble(queue: Json) -> str:
    """What is wrong now, or else what was wrong last."""
    if queue["reason"]:
        return str(queue["reason"])
    last = queue["last_trouble"]
    return "" if last is None else f"last, {in_time(datetime.fromtimestamp(last['at'], UTC))}: {last['text']}"


def _since_start(queue: Json) -> str:
    counts = queue["since_start"]
    if queue["direction"] == OUT:
        return f"{counts['queued']} queued, {counts['refused']} refused"
    words = [f"{counts['delivered']} delivered"]
    words += [f"{counts['warnings']} of them with a warning"] if counts["warnings"] else []
    words += [f"{counts['retried']} tried again"] if counts["retried"] else []
    words += [f"{counts['given_up']} given up"] if counts["given_up"] else []
    return ", ".join(words)


def _row_id(queue: Json) -> str:
    return escape(f"queue-{queue['direction']}-{queue['channel']}")


def _flow_badge(queue: Json) -> str:
    words = queue_state(queue)
    return _badge("resting" if words == "waiting" else queue["state"], words)


def _badge(state: str, text: str) -> str:
    return f'<span class="badge {_KINDS.get(state, "")}">{escape(text)}</span>'


def _number(html: str) -> str:
    return f'<td class="number">{html}</td>'


def _small(text: str | None) -> str:
    return f"<small>{escape(text)}</small>" if text else ""
