# SPDX-License-Identifier: Apache-2.0
"""Stacked bars: what a quantity is made of, one bar below the other on one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .text import escape


@dataclass(frozen=True)
class Piece:
    """One part of a bar.

    key : of its colour, see style.css; title : what it is; value : its length; said : in words
    """

    key: str
    title: str
    value: float
    said: str


def stack(pieces: Sequence[Piece], full: float, *, thin: bool = False) -> str:
    """A bar; ``full`` is the value at the end of the scale."""
    shown = [piece for piece in pieces if piece.value > 0]
    marks = "".join(
        f'<i class="{piece.key}" style="width:{100 * piece.value / full:.3f}%" '
        f'title="{escape(f"{piece.title}: {piece.said}")}"></i>'
        for piece in shown
    )
    label = ", ".join(f"{piece.title} {piece.said}" for piece in shown) or "nothing"
    kind = "stack thin" if thin else "stack"
    return f'<div class="{kind}" role="img" aria-label="{escape(label)}">{marks}</div>'


def legend(titles: Mapping[str, str]) -> str:
    """Colours and what they stand for."""
    marks = "".join(
        f'<span><i class="{key}"></i>{escape(title)}</span>' for key, title in titles.items()
    )
    return f'<p class="legend">{marks}</p>'
