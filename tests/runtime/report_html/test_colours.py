# SPDX-License-Identifier: Apache-2.0
"""Contrast of the colours, as they are defined."""

import re
from pathlib import Path

import numpy as np
import pytest

from stemcore.runtime import report_html
from stemcore.runtime.report.energy import PARTS
from stemcore.runtime.report_html.colours import BUSY, contrast, ink_for, luminance, mixed


def variables(dark):
    """CSS variables of a theme; the dark one overrides."""
    text = (Path(report_html.__file__).parent / "style.css").read_text()
    light, _, rest = text.partition("@media screen and (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    if dark:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", rest))
    return {name: tuple(bytes.fromhex(colour[1:])) for name, colour in found.items()}


TEXT_ON = {
    "paper": ("ink", "soft", "good", "bad"),
    "pale": ("ink", "soft"),
    "stripe": ("ink", "soft"),
    "good-paper": ("good",),
    "bad-paper": ("ink",),
    "bad": ("on-bad",),
}
MARKS = ("macs", "sops", "spikes", "cycles", "lanes", "edge", *(f"part-{key}" for key in PARTS))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_themes_have_contrast(dark):
    """WCAG 2.2: 4.5 for text, 3 for marks that carry meaning."""
    colours = variables(dark)
    assert (luminance(colours["paper"]) < 0.1) == dark
    for background, inks in TEXT_ON.items():
        for ink in inks:
            assert contrast(colours[ink], colours[background]) >= 4.5, (ink, background)
    for mark in MARKS:
        assert contrast(colours[mark], colours["paper"]) >= 3, mark
        if mark != "edge":
            assert contrast(colours[mark], colours["stripe"]) >= 3, mark


def test_both_themes_define_the_same_colours():
    style = (Path(report_html.__file__).parent / "style.css").read_text()
    used = set(re.findall(r"var\(--([\w-]+)\)", style)) - {"light", "dark", "series", "natural"}
    assert used <= set(variables(False))
    changed = {n for n, colour in variables(True).items() if colour != variables(False)[n]}
    assert changed == set(variables(False))


@pytest.mark.parametrize("ends", [BUSY.light, BUSY.dark])
def test_text_on_a_core_is_legible_at_any_share(ends):
    for share in np.linspace(0, 1, 201):
        background = mixed(ends, share)
        assert contrast(ink_for(background), background) >= 4.5


def test_contrast_is_that_of_the_standard():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.005)
