# SPDX-License-Identifier: Apache-2.0
"""report.html as a browser shows it: wide, narrow, dark, printed, without scripts."""

import dataclasses

import pytest

from stemcore.golden.network.network import INPUT
from stemcore.runtime.report_html import write_page
from stemcore.runtime.report_html.colours import contrast, luminance
from tests.support.report_runs import SECTIONS, on_rtl, variant
from tests.support.shown_page import CONTRASTS, overflow, printed, visible

VARIANTS = ("rtl", "golden", "boxes", "large")


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_page_reads_well_at_1280_pixels(hand, tmp_path, browser, name):
    path = write_page(tmp_path, variant(name, hand, tmp_path))
    browser.open(path, width=1280)
    assert browser.messages == []
    assert browser.requests == [path.resolve().as_uri()]
    assert overflow(browser) == 0
    sizes, shown = visible(browser)
    assert [section for section, _, _ in sizes] == list(SECTIONS)
    assert all(width > 800 and height > 50 for _, width, height in sizes)
    assert shown == ["raster-1"]
    clipped = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert browser.evaluate(clipped) == 0
    assert len(path.read_bytes()) < 2_000_000


@pytest.mark.slow
def test_chosen_layer_changes_the_raster(hand, tmp_path, browser):
    browser.open(write_page(tmp_path, hand))
    assert browser.evaluate("document.getElementById('raster-choice').offsetHeight") > 0
    for number in (2, 0, 1):
        before = browser.screenshot()
        browser.evaluate(
            f"(c => {{c.value = 'raster-{number}'; c.dispatchEvent(new Event('change'))}})"
            "(document.getElementById('raster-choice'))"
        )
        assert visible(browser)[1] == [f"raster-{number}"]
        assert browser.screenshot() != before
    assert browser.messages == []


@pytest.mark.slow
def test_page_without_script_shows_the_first_layer(hand, tmp_path, browser):
    browser.open(write_page(tmp_path, hand), script=False)
    sizes, shown = visible(browser)
    assert shown == ["raster-1"]
    assert hand.populations[0].name == INPUT
    assert len(sizes) == len(SECTIONS)
    # A choice that would do nothing is not offered.
    assert browser.evaluate("document.getElementById('raster-choice').offsetHeight") == 0


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", VARIANTS)
def test_page_prints_without_empty_sheets(hand, tmp_path, browser, name, dark):
    browser.open(write_page(tmp_path, variant(name, hand, tmp_path)), dark=dark)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    sheets = printed(pdf)
    assert 1 <= len(sheets) <= 6
    # The last may be short.
    assert all(n > 20 for n in sheets[:-1])
    assert sheets[-1] > 2


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_page_reads_well_at_400_pixels(hand, tmp_path, browser, name):
    browser.open(write_page(tmp_path, variant(name, hand, tmp_path)), width=400)
    assert browser.messages == []
    assert overflow(browser) == 0
    sizes, _ = visible(browser)
    assert all(width <= 400 for _, width, _ in sizes)
    # What is wider than the page moves within it, and nothing else is cut off.
    cut = browser.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.wide') && !e.closest("
        "'svg') && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)"
    )
    assert cut == []
    # Text of 9 pixels or more, drawings included.
    small = browser.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.childElementCount === 0 && "
        "e.textContent.trim() && e.offsetParent !== null || e.tagName === 'text' && "
        "e.getBoundingClientRect().width).map(e => [e.textContent, parseFloat("
        "getComputedStyle(e).fontSize) * (e.getScreenCTM ? e.getScreenCTM().a : 1)])"
        ".filter(([text, size]) => size < 9)"
    )
    assert small == []


@pytest.mark.slow
def test_layers_stay_named_while_their_figures_are_moved(hand, tmp_path, browser):
    browser.open(write_page(tmp_path, on_rtl(hand)), width=400)
    at = "document.querySelector('.bars tbody {}').getBoundingClientRect().left"
    table = "document.querySelector('#layers .wide')"
    assert browser.evaluate(f"{table}.scrollWidth - {table}.clientWidth") > 100
    before = [browser.evaluate(at.format(cell)) for cell in ("th", "td:last-child")]
    browser.evaluate(f"{table}.scrollLeft = 10000")
    after = [browser.evaluate(at.format(cell)) for cell in ("th", "td:last-child")]
    assert after[0] == before[0]
    assert after[1] < 400 < before[1]


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", VARIANTS[:3])
def test_all_text_of_the_page_has_contrast(hand, tmp_path, browser, name, dark):
    """As the browser computes it: 4.5 for whatever is shown."""
    run = variant(name, hand, tmp_path)
    differences = {
        "differences": ["conv: neuron 3"],
        "bit_exact": {"torch_golden": True, "golden_program": False, "golden_rtl": None},
    }
    run = dataclasses.replace(run, report={**run.report, **differences})
    browser.open(write_page(tmp_path, run), dark=dark)
    found = browser.evaluate(CONTRASTS)
    assert len(found) > 60
    assert (luminance(tuple(found[0][2])) < 0.1) == dark
    low = [row for row in found if contrast(tuple(row[1]), tuple(row[2])) < 4.5]
    assert low == []


@pytest.mark.slow
def test_browser_notices_what_the_page_must_not_do(tmp_path, browser):
    path = tmp_path / "bad.html"
    path.write_text("<p style='width:3000px'>x<img src='gone.png'><script>nothing()</script>")
    browser.open(path)
    assert any("nothing is not defined" in text for text in browser.messages)
    assert browser.requests == [path.as_uri(), (tmp_path / "gone.png").as_uri()]
    assert overflow(browser) > 0
