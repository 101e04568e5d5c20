# SPDX-License-Identifier: Apache-2.0
"""Scales from pale to full colour, for shares of 0..1, on a light and on a dark page.

A colour is given as two CSS variables, ``--light`` and ``--dark``; style.css uses one of them.
"""

from dataclasses import dataclass

Colour = tuple[int, int, int]

INKS: tuple[Colour, Colour] = ((0, 0, 0), (255, 255, 255))


@dataclass(frozen=True)
class Scale:
    """Colours of the shares 0 and 1 on a light page, and on a dark one."""

    light: tuple[Colour, Colour]
    dark: tuple[Colour, Colour]


BUSY = Scale(((233, 240, 247), (24, 88, 143)), ((33, 48, 63), (122, 184, 240)))
LINK = Scale(((238, 222, 208), (176, 58, 10)), ((72, 56, 44), (255, 150, 84)))


def mixed(ends: tuple[Colour, Colour], share: float) -> Colour:
    """The colour at a share of the way."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(*ends, strict=True))
    return red, green, blue


def css(colour: Colour) -> str:
    """As CSS has it."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def luminance(colour: Colour) -> float:
    """Relative luminance, 0 of black to 1 of white (WCAG 2.2)."""
    red, green, blue = (
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (value / 255 for value in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """Of two colours, 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_for(background: Colour) -> Colour:
    """Black or white, whichever stands out more: 4.5 at the least, on any colour."""
    return max(INKS, key=lambda ink: contrast(ink, background))


def colours_of(scale: Scale, share: float) -> str:
    """Both colours at a share, as the variables of an element's style."""
    return f"--light:{css(mixed(scale.light, share))};--dark:{css(mixed(scale.dark, share))}"


def ink_on(share: float) -> str:
    """Text that is legible on :data:`BUSY` at a share, likewise."""
    light, dark = (ink_for(mixed(ends, share)) for ends in (BUSY.light, BUSY.dark))
    return f"--light:{css(light)};--dark:{css(dark)}"


def gradient(scale: Scale) -> str:
    """The whole scale from left to right, likewise."""
    light, dark = (
        f"linear-gradient(90deg, {css(ends[0])}, {css(ends[1])})"
        for ends in (scale.light, scale.dark)
    )
    return f"--light:{light};--dark:{dark}"
