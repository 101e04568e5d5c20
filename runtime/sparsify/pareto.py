# SPDX-License-Identifier: Apache-2.0
"""What a search of tables writes: a Markdown table, and a plot as SVG text."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 300, 240, 46
COLOURS = ("#1b6ca8", "#c1440e", "#3a7d44", "#6f4a8e")
AXES = (("sops", "SOPs"), ("spikes", "spikes"), ("cycles", "cycles (estimated)"))


@dataclass(frozen=True)
class Point:
    """One choice of tables, measured on the search's images; figures are per image.

    ``cycles`` is the estimated interval; ``lost`` the share of answers lost against the network
    without tables, ``error`` its standard error, ``divergence`` how far the outputs moved;
    ``chosen`` is the one that its scheme ends with, and ``predicted`` the loss that it was judged
    by (:func:`stemcore.runtime.sparsify.selection.select_points`); None for all others.
    """

    scheme: str
    tables: dict[str, str]
    accuracy: float
    lost: float
    error: float
    divergence: float
    sops: float
    spikes: float
    cycles: float
    chosen: bool = False
    predicted: float | None = None


def markdown(points: Sequence[Point], base: Point) -> str:
    """Rows from dense to sparse, scheme by scheme."""
    head = (
        "scheme",
        "accuracy",
        "points lost",
        "divergence",
        "SOPs",
        "spikes",
        "cycles (estimated)",
        "tables",
    )
    lines = [
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        (
            f"| none | {100 * base.accuracy:.2f} % | | | {base.sops / 1e6:.2f}M | "
            f"{base.spikes / 1e3:.1f}k | {base.cycles:,.0f} | |"
        ),
    ]
    for point in points:
        tables = ", ".join(f"{layer} {name}" for layer, name in point.tables.items())
        name = f"**{point.scheme}** (chosen)" if point.chosen else point.scheme
        changes = " | ".join(_change(getattr(point, key), getattr(base, key)) for key, _ in AXES)
        lines.append(
            f"| {name} | {100 * point.accuracy:.2f} % | {100 * point.lost:+.2f} "
            f"± {100 * point.error:.2f} | {point.divergence:.4f} | {changes} | {tables} |"
        )
    return "\n".join(lines) + "\n"


def _change(value: float, before: float) -> str:
    return f"{100 * (value / before - 1):+.1f} %"


def plot(points: Sequence[Point], base: Point, title: str) -> str:
    """Accuracy over SOPs, spikes and cycles, in percent of the network without tables, as SVG."""
    everything = [base, *points]
    low = min(p.accuracy for p in everything)
    high = max(p.accuracy for p in everything)
    pad = max(0.002, (high - low) * 0.08)
    panels = "".join(
        _panel(points, base, i, key, label, (low - pad, high + pad))
        for i, (key, label) in enumerate(AXES)
    )
    schemes = list(dict.fromkeys(p.scheme for p in points))
    legend = "".join(
        f'<circle {_kind(schemes, s, "point")} cx="{MARGIN + 150 * i}" cy="{HEIGHT + 52}" r="4" '
        f'fill="{_colour(schemes, s)}"/>'
        f'<text x="{MARGIN + 10 + 150 * i}" y="{HEIGHT + 56}">{escape(s)}</text>'
        for i, s in enumerate(schemes)
    )
    width = len(AXES) * WIDTH + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + 70}" '
        f'viewBox="0 0 {width} {HEIGHT + 70}" '
        f'font-family="sans-serif" font-size="11">\n'
        f'<rect class="paper" width="100%" height="100%" fill="white"/>\n'
        f'<text x="{MARGIN}" y="18" font-size="13">{escape(title)}</text>\n'
        f"{panels}{legend}\n</svg>\n"
    )


def _colour(schemes: Sequence[str], scheme: str) -> str:
    return COLOURS[schemes.index(scheme) % len(COLOURS)]


def _kind(schemes: Sequence[str], scheme: str, more: str = "") -> str:
    """Classes by which a page that embeds the plot gives it colours of its own."""
    return f'class="{more} scheme-{schemes.index(scheme) % len(COLOURS)}"'.replace('" ', '"')


def _panel(
    points: Sequence[Point],
    base: Point,
    number: int,
    key: str,
    label: str,
    span: tuple[float, float],
) -> str:
    left, right = number * WIDTH + MARGIN, (number + 1) * WIDTH - 10
    top, bottom = 30, HEIGHT

    def at(point: Point) -> tuple[float, float]:
        share = getattr(point, key) / getattr(base, key)
        height = (point.accuracy - span[0]) / (span[1] - span[0])
        return left + min(share, 1.1) / 1.1 * (right - left), bottom - height * (bottom - top)

    parts = [
        (
            f'<rect class="frame" x="{left}" y="{top}" width="{right - left}" '
            f'height="{bottom - top}" fill="none" stroke="#999"/>'
        )
    ]
    for percent in range(0, 101, 25):
        x = left + percent / 110 * (right - left)
        parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{percent}</text>')
    for step in range(5):
        accuracy = span[0] + (span[1] - span[0]) * step / 4
        y = bottom - (bottom - top) * step / 4
        parts.append(f'<line x1="{left}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(
            f'<text x="{left - 4}" y="{y + 4:.1f}" text-anchor="end">{100 * accuracy:.1f}</text>'
        )
    parts.append(
        f'<text x="{(left + right) / 2}" y="{bottom + 30}" text-anchor="middle">{label}, % '
        f"(100: no tables)</text>"
    )
    schemes = list(dict.fromkeys(p.scheme for p in points))
    for scheme in schemes:
        own = sorted((p for p in points if p.scheme == scheme), key=lambda p: getattr(p, key))
        colour, kind = _colour(schemes, scheme), _kind(schemes, scheme)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, [*own, base]))
        parts.append(f'<polyline {kind} points="{path}" fill="none" stroke="{colour}"/>')
        for point in own:
            x, y = at(point)
            ring = ' stroke="black" stroke-width="2"' if point.chosen else ""
            own_kind = _kind(schemes, scheme, "point chosen" if point.chosen else "point")
            parts.append(
                f'<circle {own_kind} cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"{ring}/>'
            )
    x, y = at(base)
    parts.append(f'<circle class="base" cx="{x:.1f}" cy="{y:.1f}" r="4" fill="black"/>')
    return "".join(parts) + "\n"
