# SPDX-License-Identifier: Apache-2.0
"""Points over an axis each, side by side, as SVG text; the page's style gives the colours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .text import compact, escape

WIDTH, HEIGHT, MARGIN = 300, 240, 52
N_COLOURS = 4  # of style.css, scheme-0 and on
_FIRST = ("#1b6ca8", "#c1440e", "#3a7d44", "#6f4a8e")  # where no style is


@dataclass(frozen=True)
class Dot:
    """One point: a value for each panel, one for the common height, and what it is.

    ``series`` names those that have one colour; ``marked`` ones have a ring.
    """

    label: str
    series: str
    x: tuple[float, ...]
    y: float
    marked: bool = False


def scatter(dots: Sequence[Dot], panels: Sequence[str], height: str) -> str:
    """A panel for each name in ``panels``, whose values begin at zero; ``height`` names the y axis.

    Raises ``ValueError`` for no dots, and for values that are not finite or negative in x.
    """
    values = [v for dot in dots for v in (*dot.x, dot.y)]
    if not dots or not all(map(math.isfinite, values)) or min(min(d.x) for d in dots) < 0:
        raise ValueError("scatter: there must be dots, finite and with no negative x")
    series = list(dict.fromkeys(dot.series for dot in dots))
    low, high = min(dot.y for dot in dots), max(dot.y for dot in dots)
    pad = max(0.08 * (high - low), 1e-3 * max(1.0, abs(high)))
    drawn = "".join(
        _panel(dots, series, number, name, height, (low - pad, high + pad))
        for number, name in enumerate(panels)
    )
    shown = [one for one in series if one]
    legend = "".join(_legend_entry(series, one, number) for number, one in enumerate(shown))
    width = len(panels) * WIDTH + 20
    total = HEIGHT + 44 + 18 * math.ceil(len(shown) / 3)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{total}" '
        f'viewBox="0 0 {width} {total}" font-family="sans-serif" font-size="11">\n'
        f'<rect class="paper" width="100%" height="100%" fill="white"/>\n{drawn}{legend}\n</svg>\n'
    )


def _kind(series: Sequence[str], name: str) -> tuple[str, str]:
    """Class and colour of a series; after the fourth they come again."""
    number = series.index(name) % N_COLOURS
    return f"scheme-{number}", _FIRST[number]


def _legend_entry(series: Sequence[str], name: str, number: int) -> str:
    kind, colour = _kind(series, name)
    x, y = MARGIN + 280 * (number % 3), HEIGHT + 48 + 18 * (number // 3)
    return (
        f'<circle class="{kind} point" cx="{x}" cy="{y - 4}" r="4" fill="{colour}"/>'
        f'<text x="{x + 10}" y="{y}">{escape(name)}</text>'
    )


def _panel(
    dots: Sequence[Dot],
    series: Sequence[str],
    number: int,
    name: str,
    height: str,
    span: tuple[float, float],
) -> str:
    left, right = number * WIDTH + MARGIN, (number + 1) * WIDTH - 10
    top, bottom = 14, HEIGHT - 4
    most = max(dot.x[number] for dot in dots) or 1.0
    parts = [
        (
            f'<rect class="frame" x="{left}" y="{top}" width="{right - left}" '
            f'height="{bottom - top}" fill="none" stroke="#999"/>'
        )
    ]
    for step in range(5):
        x = left + (right - left) * step / 4.4
        y = bottom - (bottom - top) * step / 4
        across, up = compact(most * step / 4), span[0] + (span[1] - span[0]) * step / 4
        parts += [
            f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="#eee"/>',
            f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{escape(across)}</text>',
            f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#eee"/>',
            f'<text x="{left - 4}" y="{y + 4:.1f}" text-anchor="end">{up:.1f}</text>',
        ]
    middle, center = (left + right) / 2, (top + bottom) / 2
    parts.append(
        f'<text x="{middle:.1f}" y="{bottom + 30}" text-anchor="middle">{escape(name)}</text>'
    )
    if number == 0:
        parts.append(
            f'<text x="12" y="{center:.1f}" text-anchor="middle" '
            f'transform="rotate(-90 12 {center:.1f})">{escape(height)}</text>'
        )
    for dot in dots:
        kind, colour = _kind(series, dot.series)
        ring = ' stroke="black" stroke-width="2"' if dot.marked else ""
        x = left + dot.x[number] / most * (right - left) / 1.1
        y = bottom - (dot.y - span[0]) / (span[1] - span[0]) * (bottom - top)
        parts.append(
            f'<circle class="{kind} point{" chosen" if dot.marked else ""}" cx="{x:.1f}" '
            f'cy="{y:.1f}" r="4" fill="{colour}"{ring}><title>{escape(dot.label)}</title></circle>'
        )
    return "\n".join(parts) + "\n"
