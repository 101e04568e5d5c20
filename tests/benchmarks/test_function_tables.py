# SPDX-License-Identifier: Apache-2.0
"""A finer index is never worse, and a function with linear ends hardly gains from one."""

import numpy as np
import pytest

from stemcore.benchmarks.function_tables import FUNCTIONS, INDEX_BITS, main, signal_to_noise
from stemcore.compiler.frontend.ops.leaky_relu import LeakyReLU
from stemcore.compiler.frontend.ops.sigmoid import Sigmoid


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.describe())
def test_noise_falls_to_that_of_the_output_alone(function, rng):
    without, *with_index = signal_to_noise(function, rng.normal(size=4000) * 2)
    assert max(with_index) <= without + 0.5
    assert with_index[-1] >= with_index[0] - 0.1


def test_an_index_of_the_sums_own_grid_adds_no_noise():
    sums = np.arange(-100, 101) / 64  # 201 sums, each with an index
    without, *with_index = signal_to_noise(LeakyReLU(0.5), sums)
    assert with_index[0] == pytest.approx(without)


def test_saturating_functions_gain_most(rng):
    sums = rng.normal(size=4000) * 2
    gains = {}
    for function in (LeakyReLU(0.1), Sigmoid()):
        _, *found = signal_to_noise(function, sums)
        gains[function.describe()] = found[INDEX_BITS.index(12)] - found[0]
    assert gains["Sigmoid"] > gains["LeakyReLU(0.1)"] + 3


def test_every_function_has_a_line(capsys):
    assert main(["--sums", "500"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:6]] == [
        function.describe().split()[0] for function in FUNCTIONS[:5]
    ]
    assert len(lines) == 1 + len(FUNCTIONS)
