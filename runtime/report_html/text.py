# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them, and markup that cannot be broken by what it contains."""

import html
from base64 import b64encode
from collections.abc import Iterable


def escape(value: object) -> str:
    """Text for an element or a quoted attribute."""
    return html.escape(str(value), quote=True)


def compact(value: float) -> str:
    """Three digits or so: 950, 12.3k, 4.56M, 1.20G."""
    for limit, unit, digits in ((1e9, "G", 2), (1e6, "M", 2), (1e4, "k", 1)):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.{digits}f}{unit}"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.1f}"


def whole(value: float | None) -> str:
    """All digits, in groups of three; a dash where there is no figure."""
    return "–" if value is None else f"{value:,.0f}"


def percent(value: float | None, digits: int = 2) -> str:
    """A share of 0..1."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def shape_text(shape: Iterable[int]) -> str:
    """Channels, rows and columns, the one notation of the page; never cut into lines."""
    return "\u00a0×\u00a0".join(map(str, shape))


def data_url(png: bytes) -> str:
    """A picture within the page."""
    return "data:image/png;base64," + b64encode(png).decode()


def section(name: str, title: str, parts: Iterable[str], lead: str = "") -> str:
    """One part of the page; ``lead`` is plain text below its title, the others are markup."""
    below = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>{below}\n{"".join(parts)}\n</section>\n'


def scrolled(markup: str, what: str) -> str:
    """What may be wider than a narrow page is moved sideways, by touch or keys."""
    return f'<div class="wide" tabindex="0" role="group" aria-label="{escape(what)}">{markup}</div>'


def missing(why: str) -> str:
    """Stands where a part of the page has no data."""
    return f'<p class="missing">{escape(why)}</p>'
