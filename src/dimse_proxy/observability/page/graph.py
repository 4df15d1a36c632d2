"""The graph of the throughput, as an SVG picture that needs no script."""

from collections.abc import Sequence
from html import escape
from typing import Final

from dimse_proxy.observability.page.words import in_bytes
from dimse_proxy.observability.state import BINS

_WIDTH: Final = 1200
_HEIGHT: Final = 150
_LEFT: Final = 76
_TOP: Final = 10
_BOTTOM: Final = 22
_MINUTES: Final = 15


def throughput_graph(out: Sequence[float], into: Sequence[float], seconds: float) -> str:
    """Return the legend and the picture.

    Args:
        out: bytes a second towards the other side, the oldest first.
        into: from the other side.
        seconds: between two points.
    """
    top = _ceiling(max([*out, *into, 1000.0]))
    inner = _HEIGHT - _TOP - _BOTTOM
    grid = ""
    for share in (0.0, 0.5, 1.0):
        y = _TOP + inner * (1 - share)
        grid += (
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:g}" y2="{y:g}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:g}" text-anchor="end">{in_bytes(top * share)}/s</text>'
        )
    for minutes in (15, 10, 5, 0):
        x = _WIDTH - (_WIDTH - _LEFT) * minutes / _MINUTES
        anchor = "end" if minutes == 0 else "start" if minutes == _MINUTES else "middle"
        text = "now" if minutes == 0 else f"{minutes} min ago"
        grid += f'<text x="{x:g}" y="{_HEIGHT - 5}" text-anchor="{anchor}">{text}</text>'
    lines = _line(out, top, "out") + _line(into, top, "in")
    now_out, now_in = (values[-1] if values else 0.0 for values in (out, into))
    label = (
        f"Throughput of the last {len(out) * seconds / 60:.0f} minutes: to the other side {in_bytes(now_out)} a second "
        f"now, {in_bytes(max(out, default=0))} at most; from it {in_bytes(now_in)} now, "
        f"{in_bytes(max(into, default=0))} at most"
    )
    return (
        '<div class="legend"><span>to the other side</span><span class="in">from the other side</span></div>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">{grid}{lines}</svg>'
    )


def _line(values: Sequence[float], top: float, kind: str) -> str:
    if not values:
        return ""
    if len(values) == 1:
        values = (*values, *values)
    inner = _HEIGHT - _TOP - _BOTTOM
    step = (_WIDTH - _LEFT) / (BINS - 1)
    start = _WIDTH - step * (len(values) - 1)
    points = " ".join(
        f"{start + step * place:.1f},{_TOP + inner * (1 - min(1.0, value / top)):.1f}"
        for place, value in enumerate(values)
    )
    area = ""
    if kind == "out":
        base = _TOP + inner
        area = f'<polygon class="area" points="{start:.1f},{base} {points} {_WIDTH},{base}"/>'
    return f'{area}<polyline class="line {kind}" points="{points}"/>'


def _ceiling(value: float) -> float:
    """Return the next round number of the kind 1, 2 or 5 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value)
