# SPDX-License-Identifier: Apache-2.0
"""Every engine that runs a program: what golden computes, or a reason."""

import numpy as np
import pytest

from stemcore.folders import engines
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.fields import Control
from stemcore.runtime.engines import amaranth
from stemcore.runtime.engines.compare import compare_values, populations_of
from stemcore.runtime.engines.result import EngineError
from stemcore.runtime.engines.run import run_engine
from tests.support.edit_program import with_register
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import random_images

CASES = {
    "dense": dense_program,
    "multipliers": lambda seed: dense_program(seed, multipliers=True),
    "lookup": lambda seed: dense_program(seed, lookup=True),
    "conv_chain": conv_chain_program,
}
ENGINES = [
    "program",
    pytest.param("amaranth", marks=pytest.mark.slow),
    pytest.param("verilator", marks=[pytest.mark.sim, pytest.mark.slow]),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_engine_equals_golden_on_a_hand_written_program(name, engine, rng):
    program, network = CASES[name](5)
    images = random_images(rng, network, 3)
    expected = run_network(network, images)
    result = run_engine(engine, program, images, out_dir=engines())
    assert result.engine == engine
    assert (
        compare_values(populations_of(program), expected, result.values, names=("golden", engine))
        > 0
    )
    np.testing.assert_array_equal(result.outputs, expected[program.output])


@pytest.mark.sim
@pytest.mark.slow
def test_verilator_and_program_count_alike(rng):
    program, network = conv_chain_program(6)
    images = random_images(rng, network, 3)
    model = run_engine("program", program, images)
    rtl = run_engine("verilator", program, images, out_dir=engines())
    assert model.counters.keys() == rtl.counters.keys()
    for node, counters in model.counters.items():
        assert {name: rtl.counters[node][name] for name in counters} == counters
        assert rtl.counters[node]["samples"] == 3
        assert rtl.counters[node]["overflow"] == 0


@pytest.mark.slow
def test_amaranth_tells_when_each_sample_came_out(rng):
    program, network = dense_program(2)
    result = run_engine("amaranth", program, random_images(rng, network, 3))
    ends = result.timing.end.tolist()
    assert len(ends) == 3 and ends == sorted(set(ends))
    assert result.timing.total == ends[-1]


def test_amaranth_says_that_nothing_moves(rng):
    program, network = dense_program(2)
    images = random_images(rng, network, 2)
    stuck = with_register(program, 0, Control.N_SOURCES, 2)
    message = r"^dense: 2 images must come out, 0 did, and nothing moves any more$"
    with pytest.raises(EngineError, match=message):
        amaranth.run(stuck, images)


def test_amaranth_keeps_to_its_limit(rng):
    program, network = dense_program(2)
    images = random_images(rng, network, 2)
    with pytest.raises(
        EngineError, match=r"^dense: 2 images must come out, 0 did, and 101 cycles have passed$"
    ):
        amaranth.run(program, images, cycle_limit=100)


def test_amaranth_reports_progress(rng):
    program, network = dense_program(2)
    seen = []
    run_engine(
        "amaranth",
        program,
        random_images(rng, network, 1),
        progress=lambda images, cycles: seen.append((images, cycles)),
    )
    assert [cycles for _, cycles in seen] == [amaranth.LOOK * (n + 1) for n in range(len(seen))]
    assert seen


def test_engine_must_be_one_that_runs_programs(rng):
    program, network = dense_program(2)
    images = random_images(rng, network, 1)
    message = r"^engine: must be verilator, amaranth or program to run a program, got 'golden'$"
    with pytest.raises(ValueError, match=message):
        run_engine("golden", program, images)
    with pytest.raises(
        ValueError, match=r"^run_engine: engine 'verilator' must have out_dir, got None$"
    ):
        run_engine("verilator", program, images)
