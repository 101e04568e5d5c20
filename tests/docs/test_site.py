# SPDX-License-Identifier: Apache-2.0
"""The built documentation in a browser: narrow and wide, light and dark. ``make docs`` runs it."""

from pathlib import Path

import pytest

from tests.support.browser import HOW, Browser, find_browser

SITE = Path(__file__).resolve().parents[2] / "sim_build" / "docs"
# 404.html is for servers: its links begin at their root.
PAGES = sorted(set(SITE.rglob("*.html")) - {SITE / "404.html"})
BROWSER = find_browser()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason=HOW),
    pytest.mark.skipif(not PAGES, reason="the site is not built; make docs builds it"),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    assert BROWSER is not None
    with Browser(BROWSER, tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_pages_fit_their_window_and_fetch_nothing_from_elsewhere(browser, width, dark):
    for page in PAGES:
        browser.open(page, width=width, dark=dark)
        widest = browser.evaluate("document.documentElement.scrollWidth")
        assert widest <= width, f"{page.name}: {widest} of {width} pixels"
        assert all(url.startswith("file:") for url in browser.requests), page.name
        assert not browser.messages, page.name


def test_dark_pages_are_dark_and_pictures_take_the_colour_of_the_text(browser):
    page = SITE / "explanation" / "stem.html"
    seen = {}
    for dark in (False, True):
        browser.open(page, dark=dark)
        colours = (
            "[getComputedStyle(document.body).backgroundColor, "
            "getComputedStyle(document.querySelector('svg.picture')).color, "
            "getComputedStyle(document.querySelector('article p')).color]"
        )
        background, picture, text = browser.evaluate(colours)
        assert picture == text
        seen[dark] = sum(map(int, background[4:-1].replace("a(", "").split(",")[:3]))
    assert seen[True] < 200 < 600 < seen[False]
