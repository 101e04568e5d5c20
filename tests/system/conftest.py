# SPDX-License-Identifier: Apache-2.0
"""Results of these tests lie apart from the user's, and from those of tests beside them."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_results(tmp_path_factory):
    """A working directory for each process of a test run: results lie in its ``sim_build``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("results"))
        yield
