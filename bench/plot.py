"""Bar charts as SVG: one bar a contender, its median, and a line from its smallest to its largest run.

They are read on light and on dark pages: what is not a bar takes the page's own colour by a media query.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 720
LABEL: Final = 200
VALUE: Final = 90
ROW: Final = 26
BAR: Final = 16
TOP: Final = 34
STYLE: Final = (
    "<style>text{font:13px system-ui,sans-serif;fill:#24292f}.t{font-weight:600}.v{font-variant-numeric:tabular-nums}"
    ".o{fill:#8c959f}.p{fill:#0969da}.r{stroke:#24292f;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.o{fill:#6e7681}.p{fill:#4493f8}.r{stroke:#e6edf3}}</style>"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One row of a chart."""

    label: str
    median: float
    low: float
    high: float
    is_ours: bool
    """The proxies; drawn in another colour than the rest."""


def chart(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """Draw horizontal bars from zero.

    Args:
        title: above the bars.
        unit: of their values.
        bars: from top to bottom.

    Returns:
        An SVG document.
    """
    room = WIDTH - LABEL - VALUE
    largest = max(bar.high for bar in bars) or 1.0
    height = TOP + ROW * len(bars) + 8
    rows = [_row(bar, TOP + ROW * number, room / largest) for number, bar in enumerate(bars)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">{STYLE}'
        f'<text class="t" x="0" y="18">{escape(title)}, {escape(unit)}</text>{"".join(rows)}</svg>\n'
    )


def _row(bar: Bar, top: float, scale: float) -> str:
    middle = top + ROW / 2
    length, low, high = bar.median * scale, LABEL + bar.low * scale, LABEL + bar.high * scale
    return (
        f'<text x="{LABEL - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect class="{"p" if bar.is_ours else "o"}" x="{LABEL}" y="{middle - BAR / 2:.1f}" width="{length:.1f}" '
        f'height="{BAR}"/>'
        f'<line class="r" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
        f'<text class="v" x="{max(length + LABEL, high) + 6:.1f}" y="{middle + 4:.1f}">{short(bar.median)}</text>'
    )


def short(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
