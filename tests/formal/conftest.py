# SPDX-License-Identifier: Apache-2.0
"""``sim_build/formal/proofs.json`` lists what a run of this folder has shown."""

import pytest

from tests.support.proofs import collect_results, forget_results


def _has_results(session: pytest.Session) -> bool:
    """Workers of pytest-xdist leave results; the process that started them makes the list."""
    return not hasattr(session.config, "workerinput") and not session.config.option.collectonly


def pytest_sessionstart(session: pytest.Session) -> None:
    if _has_results(session):
        forget_results()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _has_results(session):
        collect_results()
