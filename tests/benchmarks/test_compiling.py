# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the compiler: taken in a process that compiles and nothing else."""

import pytest

from stemcore.benchmarks.compiling import compilation, peak_gib
from stemcore.runtime.load_model import TRAINED


def test_peak_is_the_high_water_mark(tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t 9437184 kB\nVmHWM:\t 3145728 kB\nVmRSS:\t 1 kB\n")
    assert peak_gib(status) == 3.0


def test_peak_is_unknown_where_the_system_does_not_say(tmp_path):
    assert peak_gib(tmp_path / "none") is None


@pytest.mark.slow
def test_memory_of_one_model_is_not_that_of_another():
    held = bytearray(2 << 30)
    held[::4096] = bytes(len(held[::4096]))
    prepared, compiled, peak = compilation(("digits_cnn",))
    assert prepared.note == f"weights {TRAINED}"
    assert 0 < compiled.value < 60
    assert compiled.note == "6 cores"
    assert 0.05 < peak.value < 1.9
