# SPDX-License-Identifier: Apache-2.0
"""Every test has a time limit: a hang fails, is named, and the tests after it run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SLOW_SECONDS
from tests.support import evidence

ROOT = Path(__file__).parent.parent
TESTS = f"""
import time, pytest

def limit(request):
    return request.node.get_closest_marker("timeout")

def test_hangs():
    time.sleep(100)

def test_quick(request):
    assert limit(request) is None and float(request.config.getini("timeout")) > 0

@pytest.mark.slow
def test_slow(request):
    assert limit(request).args == ({SLOW_SECONDS},)

@pytest.mark.sim
@pytest.mark.timeout(7)
def test_own(request):
    assert limit(request).args == (7,)
"""


@pytest.mark.slow
def test_a_test_that_hangs_fails_and_the_others_run(tmp_path):
    (tmp_path / "test_inner.py").write_text(TESTS)
    words = ["-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "-o", "timeout=0.5"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", *words, tmp_path],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != evidence.VARIABLE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "FAILED" in done.stdout
    assert "test_hangs - Failed: Timeout" in done.stdout
    assert "1 failed, 3 passed" in done.stdout, done.stdout
