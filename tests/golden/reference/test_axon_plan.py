# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.reference.program_engine import run_program
from stemcore.golden.reference.topology import Topology
from stemcore.golden.spec.fields import Memory
from tests.support.edit_program import shortened, with_field
from tests.support.hand_programs import conv_chain_program, dense_program

DENSE = dense_program(0)[0]
CONV = conv_chain_program(0)[0]


def test_plan_of_a_convolution_has_a_product_per_kernel_element():
    plan = Topology(CONV).plans[0][0]
    assert len(plan.steps) == 9
    taps = np.outer([2, 3, 3, 2], [2, 3, 3, 2]).reshape(-1)
    np.testing.assert_array_equal(plan.taps, taps)
    np.testing.assert_array_equal(plan.lanes_per_tap, [4, 4])
    assert plan.shift == 1


def test_plan_adds_up_positions_that_share_an_accumulator(rng):
    # Every input position leads to the same weights and the same accumulators.
    program = DENSE
    for word in range(2):
        program = with_field(program, 0, Memory.TABLE_Y, word, weight=0)
        program = with_field(program, 0, Memory.TABLE_X, word, weight=0)
    plan = Topology(program).plans[0][0]
    assert [step.is_distinct for step in plan.steps] == [False]
    x = rng.integers(-7, 8, (2, 4, 1))
    z = np.zeros((2, 64, 4))
    plan.accumulate(x, z)
    weights = plan.core.weights[:2]
    np.testing.assert_array_equal(z[:, :2], x.sum(axis=1)[:, :, None] * weights)
    assert not z[:, 2:].any()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            with_field(CONV, 0, Memory.DESTINATION, 0, axon=1),
            (
                r"^core \(0, 2\) of dense, axon 1: core \(0, 1\) of conv sends spikes there, "
                r"the core has 1 axons$"
            ),
        ),
        (
            with_field(CONV, 2, Memory.AXON, 0, shift0=6),
            (
                r"^core \(0, 2\) of dense, axon 0: shift0 must be at least 7 for trains of 8 "
                r"steps, got 6$"
            ),
        ),
        (
            with_field(CONV, 2, Memory.AXON, 0, is_signed=1),
            r"^core .*, axon 0: is_signed is 1, core \(0, 1\) of conv fires unsigned values$",
        ),
        (
            with_field(CONV, 1, Memory.FIRE, 2, block=0),
            (
                r"^core .*, axon 0: neuron c 0, y 1, x 0 of conv arrives 2 times; "
                r"a spike must come once$"
            ),
        ),
        (
            shortened(CONV, 2, Memory.TABLE_C, 7),
            (
                r"^core .*, axon 0: coordinate 7 needs word 7 of TABLE_C, "
                r"which has 7 words in use$"
            ),
        ),
        (
            shortened(CONV, 2, Memory.TABLE_Y, 1),
            r"^core .*, axon 0: coordinate 1 needs word 1 of TABLE_Y, ",
        ),
        (
            with_field(CONV, 0, Memory.AXON, 0, x_base=31),
            r"^core \(0, 1\) of conv, axon 0: coordinate 0 needs word 31 of TABLE_X, ",
        ),
        (
            shortened(CONV, 2, Memory.WEIGHT, 31),
            r"^core .*, axon 0: loop nests reach weight word 31, WEIGHT has 31 words in use$",
        ),
        (
            with_field(CONV, 2, Memory.TABLE_C, 5, acc=1),
            r"^core .*, axon 0: loop nests reach accumulator word 1, which is never updated$",
        ),
        (
            with_field(CONV, 2, Memory.TABLE_C, 5, count=2),
            r"^core .*, axon 0: loop nests reach accumulator word 1, which is never updated$",
        ),
    ],
)
def test_plan_refuses_loop_nests_beyond_the_image(program, message):
    with pytest.raises(ValueError, match=message):
        Topology(program)


def test_plan_asks_for_nothing_where_no_spike_arrives(rng):
    # The last source channel does not loop nest: its table word may say anything else.
    program = with_field(CONV, 2, Memory.TABLE_C, 7, acc=63, weight=511, count=0)
    images = rng.integers(0, 256, (1, 2, 4, 4))
    assert run_program(program, images).outputs.shape == (1, 3, 1, 1)
