# SPDX-License-Identifier: Apache-2.0
"""What every test may rely on: reproducible randomness from ``SEED`` and the test's name."""

import hashlib
import os

import numpy as np
import pytest
from hypothesis import settings

SEED = int(os.environ.get("SEED", "0"))


def _entropy(node_id: str) -> int:
    digest = hashlib.sha256(f"{SEED}:{node_id}".encode()).digest()
    return int.from_bytes(digest[:16], "little")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that depend on ``SEED`` and on this test's own name, and on nothing else."""
    return np.random.default_rng(_entropy(request.node.nodeid))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # No example database: a run depends on SEED alone, not on what failed before.
    settings.register_profile("stemcore", deadline=None, database=None, print_blob=True)
    settings.register_profile("fast", settings.get_profile("stemcore"), max_examples=15)
    settings.load_profile("stemcore")  # where --hypothesis-profile names no other
    if config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(SEED)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> object:
    report = yield
    if report.failed:
        report.sections.append(("reproduce", f"SEED={SEED} pytest '{item.nodeid}'"))
    return report
