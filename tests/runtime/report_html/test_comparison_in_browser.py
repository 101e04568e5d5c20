# SPDX-License-Identifier: Apache-2.0
"""The page of a comparison as a browser shows it: wide, narrow, dark, printed."""

import pytest

from stemcore.runtime.report.comparison import compare_runs
from stemcore.runtime.report.figures import write_json
from stemcore.runtime.report_html.colours import contrast, luminance
from stemcore.runtime.report_html.comparison import write_comparison
from tests.support.reports import rtl_report, settings
from tests.support.shown_page import CONTRASTS, overflow, printed

A4_PIXELS = 688  # between margins of 14 mm
# Cells of tables that reach beyond the page, or whose text reaches beyond the cell.
CUT = """
[...document.querySelectorAll('th, td, h1, h2, li, p')].filter(
  e => e.getBoundingClientRect().right > innerWidth + 0.5 || e.scrollWidth > e.clientWidth + 1
).map(e => e.textContent)
"""


@pytest.fixture(params=[2, 8], ids=["2 runs", "8 runs"])
def page(request, tmp_path):
    """A comparison of runs that differ in their settings and hashes."""
    folders = []
    for number in range(request.param):
        report = rtl_report()
        report["settings"] = settings(bits=2 + number % 7, tables=f"rot{number}")
        report["hashes"] = {**report["hashes"], "program": f"{number}abcdef0" * 8}
        folders.append(tmp_path / f"tiny_vgg-cifar10-bits{number}-with_a_rather_long_name")
        write_json(folders[-1] / "report.json", report)
    return write_comparison(compare_runs(folders), tmp_path / "compare.html")


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_comparison_reads_well(page, browser, width):
    browser.open(page, width=width)
    assert browser.messages == []
    assert browser.requests == [page.resolve().as_uri()]
    assert overflow(browser) == 0
    cut = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.compared') && "
    cut += "e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)"
    assert browser.evaluate(cut) == []


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_of_the_comparison_has_contrast(page, browser, dark):
    browser.open(page, dark=dark)
    found = browser.evaluate(CONTRASTS)
    assert len(found) > 60
    assert (luminance(tuple(found[0][2])) < 0.1) == dark
    assert [row for row in found if contrast(tuple(row[1]), tuple(row[2])) < 4.5] == []


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_comparison_prints_whole(page, browser, dark):
    browser.open(page, width=A4_PIXELS, paper=True, dark=dark)
    assert browser.evaluate(CUT) == []
    assert overflow(browser) == 0
    sheets = printed(browser.pdf())
    assert 1 <= len(sheets) <= 8
    assert all(n > 20 for n in sheets[:-1])
