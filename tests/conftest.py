# SPDX-License-Identifier: Apache-2.0
"""What every test may rely on: reproducible randomness from ``SEED`` and the test's name."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.support import evidence

SEED = os.environ.get("SEED", "0")
SLOW_SECONDS = 1200  # for tests that build a simulator or ask a solver, on a machine that is busy


def _entropy(node_id: str) -> int:
    digest = hashlib.sha256(f"{SEED}:{node_id}".encode()).digest()
    return int.from_bytes(digest[:16], "little")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that depend on ``SEED`` and on this test's own name, and on nothing else."""
    return np.random.default_rng(_entropy(request.node.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not SEED.isdecimal():
        raise pytest.UsageError(f"SEED: must be a whole number of 0 or more, got {SEED!r}")
    # No example database: a run depends on SEED alone, not on what failed before.
    settings.register_profile("stemcore", deadline=None, database=None, print_blob=True)
    settings.register_profile("fast", settings.get_profile("stemcore"), max_examples=15)
    settings.load_profile("stemcore")  # where --hypothesis-profile names no other
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = SEED


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if float(config.getini("timeout") or 0) == 0:  # a debugger, or whoever counts otherwise
        return
    for item in items:
        is_slow = item.get_closest_marker("slow") or item.get_closest_marker("sim")
        if is_slow and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """For ``make test``, whose summary says how many tests a stage had, and what it skipped."""
    if path := os.environ.get(evidence.VARIABLE):
        evidence.write_counts(Path(path), terminalreporter.stats)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> object:
    report = yield
    if report.failed:
        report.sections.append(("reproduce", f"SEED={SEED} pytest '{item.nodeid}'"))
    return report
