# SPDX-License-Identifier: Apache-2.0
"""Every engine that runs a program: what golden computes, or a reason."""

import numpy as np
import pytest

from stemcore import folders
from stemcore.golden.network.forward import run_network
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from stemcore.runtime.engines import amaranth
from stemcore.runtime.engines.amaranth import Amaranth
from stemcore.runtime.engines.compare import compare_values, populations_of
from stemcore.runtime.engines.engine import Feature, ProgramEngine
from stemcore.runtime.engines.registry import engines, get_engine
from stemcore.runtime.engines.run import run_engine
from stemcore.runtime.errors import EngineError
from stemcore.runtime.native.simulated_board import simulated_board
from tests.support.edit_program import with_register
from tests.support.hand_programs import conv_chain_program, dense_program
from tests.support.random_networks import random_images

CASES = {
    "dense": dense_program,
    "multipliers": lambda seed: dense_program(seed, multipliers=True),
    "lookup": lambda seed: dense_program(seed, lookup=True),
    "conv_chain": conv_chain_program,
}
# Beyond what numpy computes: what an engine takes to run.
MARKS = {
    "amaranth": [pytest.mark.slow],
    "verilator": [pytest.mark.sim, pytest.mark.slow],
    "fpga": [pytest.mark.sim, pytest.mark.slow],
}
ENGINES = [pytest.param(name, marks=MARKS.get(name, [])) for name in engines()]


@pytest.fixture
def port(engine):
    """Where the chip is, of engines that ask for one: a board in simulation."""
    if Feature.PORT not in engines()[engine].features:
        yield None
        return
    with simulated_board(get_preset("tiny"), folders.engines(), columns=2, rows=2) as name:
        yield name


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_engine_equals_golden_on_a_hand_written_program(name, engine, port, rng):
    program, network = CASES[name](5)
    images = random_images(rng, network, 3)
    expected = run_network(network, images)
    result = run_engine(
        engine,
        program if isinstance(get_engine(engine), ProgramEngine) else None,
        images,
        network=network,
        params=program.params,
        port=port,
    )
    assert result.engine == engine
    features = engines()[engine].features
    assert (result.timing is not None) == (Feature.CYCLES in features)
    assert (result.counters is not None) == (Feature.COUNTERS in features)
    seen = program.output_populations if result.only_outputs else populations_of(program)
    assert compare_values(seen, expected, result.values, names=("golden", engine)) > 0
    np.testing.assert_array_equal(result.outputs, expected[program.output])


@pytest.mark.sim
@pytest.mark.slow
def test_verilator_and_program_count_alike(rng):
    program, network = conv_chain_program(6)
    images = random_images(rng, network, 3)
    model = run_engine("program", program, images)
    rtl = run_engine("verilator", program, images)
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


@pytest.mark.medium
def test_amaranth_says_that_nothing_moves(rng):
    program, network = dense_program(2)
    images = random_images(rng, network, 2)
    stuck = with_register(program, 0, Control.N_SOURCES, 2)
    message = r"^dense: 2 images must come out, 0 did, and nothing moves any more$"
    with pytest.raises(EngineError, match=message):
        run_engine("amaranth", stuck, images)


@pytest.mark.medium
def test_amaranth_keeps_to_its_limit(rng):
    program, network = dense_program(2)
    images = random_images(rng, network, 2)
    message = (
        r"^dense: 2 images must come out, 0 did, and 101 cycles have passed, the limit of this "
        r"engine; run fewer images, or choose engine 'verilator'$"
    )
    with pytest.raises(ValueError, match=message):
        run_engine(Amaranth(cycle_limit=100), program, images)


@pytest.mark.medium
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


def test_engine_is_told_what_it_has_to_run(rng):
    program, network = dense_program(2)
    images = random_images(rng, network, 1)
    message = r"^engine 'golden' runs a lowered network: network and params must be given, got no "
    with pytest.raises(ValueError, match=message + "network$"):
        run_engine("golden", program, images)
    with pytest.raises(ValueError, match=message + "params$"):
        run_engine("golden", None, images, network=network)
    with pytest.raises(ValueError, match=r"^engine 'program' runs a program: it must be given"):
        run_engine("program", None, images, network=network)
