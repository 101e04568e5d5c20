# SPDX-License-Identifier: Apache-2.0
"""cocotb is an extra: the package does without it, the kit says what it needs."""

import subprocess
import sys

import pytest

WITHOUT_COCOTB = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cocotb", "cocotb_tools"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
import stemcore
import stemcore.runtime.commands.main
"""


def run(text):
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)


@pytest.mark.medium
def test_package_needs_no_cocotb():
    assert run(WITHOUT_COCOTB).returncode == 0


def test_kit_says_what_it_needs():
    result = run(WITHOUT_COCOTB + "import stemcore.testing")
    assert result.returncode == 1
    assert result.stderr.rstrip().endswith(
        "MissingExtraError: stemcore.testing: cocotb 2 must be there, it is not; "
        "pip install 'stemcore[test]' (in a checkout: make env)"
    )
