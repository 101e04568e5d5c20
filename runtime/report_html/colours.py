# SPDX-License-Identifier: Apache-2.0
"""Scales from pale to full colour, for shares of 0..1."""

Colour = tuple[int, int, int]

BUSY: tuple[Colour, Colour] = ((233, 240, 247), (24, 88, 143))
LINK: tuple[Colour, Colour] = ((238, 222, 208), (176, 58, 10))


def on_scale(scale: tuple[Colour, Colour], share: float) -> str:
    """The colour at a share, as CSS."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(*scale, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def ink_on(share: float) -> str:
    """Text that stays legible on :data:`BUSY` at a share."""
    return "#ffffff" if share > 0.45 else "#1c2733"


def gradient(scale: tuple[Colour, Colour]) -> str:
    """The whole scale, from left to right, as a CSS background."""
    return f"linear-gradient(90deg, {on_scale(scale, 0)}, {on_scale(scale, 1)})"
