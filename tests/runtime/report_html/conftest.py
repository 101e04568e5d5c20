# SPDX-License-Identifier: Apache-2.0
"""A made-up run, and a browser to look at pages with."""

import pytest

from tests.support.browser import HOW, Browser, find_browser
from tests.support.report_runs import hand_run


@pytest.fixture
def hand(rng):
    """The hand-made program (two cores of a convolution, one of a dense layer), run."""
    return hand_run(rng)


@pytest.fixture
def browser(tmp_path):
    path = find_browser()
    if path is None:
        pytest.skip(HOW)
    folder = tmp_path / "browser"
    folder.mkdir()
    with Browser(path, folder) as one:
        yield one
