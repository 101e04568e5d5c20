# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from stemcore.golden.arithmetic.fixed import requantize_one
from stemcore.golden.reference.core import Core
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.registers import Control
from tests.support.edit_program import shortened, with_field, with_memory, with_register
from tests.support.hand_programs import conv_chain_program, dense_program

TINY = Formats(get_preset("tiny"))


def core_of(program, number=0):
    return Core(program.cores[number], program.params)


def test_core_reads_back_what_was_assembled():
    program, network = dense_program(1, multipliers=True, lookup=True)
    core = core_of(program)
    layer = network.output
    assert (core.n_sources, core.n_destinations, core.n_update, core.n_fire) == (1, 1, 2, 2)
    assert (core.bits, core.is_signed, core.use_lookup, core.bias_shift) == (5, True, True, 1)
    assert (core.end_list, core.credit_list) == (range(1), range(1))
    assert core.destinations == [((0, 0, 0, 0), 0)]
    np.testing.assert_array_equal(core.bias.reshape(-1)[:6], layer.bias)
    np.testing.assert_array_equal(core.multiplier.reshape(-1)[:6], layer.multiplier)
    np.testing.assert_array_equal(core.shift.reshape(-1)[:6], layer.shift)
    np.testing.assert_array_equal(core.lookup, layer.table)
    # Weight word 4y + 2x + b.
    weight = layer.connections[0].weight
    words = core.weights.reshape(2, 2, 8)[..., :6]
    np.testing.assert_array_equal(words, weight[:, 0].transpose(1, 2, 0))
    axon = core.axons[0]
    assert (axon.shift0, axon.is_signed, axon.tail) == (3, 1, 1)


def test_finish_requantizes_looks_up_and_pools(rng):
    program, _ = conv_chain_program(2)
    core = core_of(program)
    z = rng.integers(-(1 << 18), 1 << 18, (3, 64, 4))
    got = core.finish(z)
    assert got.shape == (3, 4, 4)
    for n in range(3):
        for word in range(4):
            y, x = divmod(word, 2)
            for lane in range(4):
                window = [8 * y + 2 * x + offset for offset in (0, 1, 4, 5)]
                values = [
                    requantize_one(
                        int(z[n, acc, lane]),
                        int(core.bias[0, lane]),
                        1,
                        int(core.shift[0, lane]),
                        0,
                        8,
                        False,
                    )
                    for acc in window
                ]
                assert got[n, word, lane] == max(values)


def raw_core(shift):
    """The chain's first core in raw mode, its one block with ``shift``."""
    program, _ = conv_chain_program(2)
    program = with_register(
        program,
        0,
        Control.MODE,
        TINY.mode.pack(bits=8, is_signed=0, use_lookup=0, bias_shift=0, is_raw=1, gap=0),
    )
    core = core_of(program)
    core.shift = np.full_like(core.shift, shift)
    return core


@pytest.mark.parametrize("shift", [0, 8, 16, 47])
def test_finish_in_raw_mode_gives_bytes(shift, rng):
    core = raw_core(shift)
    z = rng.integers(-(1 << 23), 1 << 23, (3, 64, 4))
    got = core.finish(z)
    total = z[:, core.update_acc] + core.bias[core.update_block]
    digits = (total >> shift) & 0xFF
    np.testing.assert_array_equal(got, np.maximum.reduceat(digits, core.window_starts, axis=1))


def test_multipliers_are_ignored_by_a_core_without_them():
    program, _ = dense_program(0)
    lean = program.params.with_(multipliers=False)
    image = with_memory(
        program, 0, Memory.REQUANT, program.cores[0].memories[Memory.REQUANT]
    ).cores[0]
    assert (Core(image, lean).multiplier == 1).all()


DENSE = dense_program(0)[0]
CONV = conv_chain_program(0)[0]


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            shortened(DENSE, 0, Memory.CONTROL, 6),
            r"^core \(0, 1\) of dense: CONTROL must have shape \(7, 1\), got \(6, 1\)$",
        ),
        (
            with_register(
                DENSE,
                0,
                Control.MODE,
                TINY.mode.pack(bits=9, is_signed=1, use_lookup=0, bias_shift=0, is_raw=0, gap=0),
            ),
            r"^core \(0, 1\) of dense: MODE\.bits must lie in 2\.\.8, got 9$",
        ),
        (
            with_register(
                DENSE,
                0,
                Control.MODE,
                TINY.mode.pack(bits=5, is_signed=1, use_lookup=0, bias_shift=0, is_raw=1, gap=0),
            ),
            r"^core .*: MODE\.is_raw needs 8 unsigned bits and no lookup, got 5 bits, is_signed T",
        ),
        (
            with_register(DENSE, 0, Control.N_UPDATE, 3),
            r"^core .*: N_UPDATE is 3, UPDATE has 2 words in use$",
        ),
        (
            with_field(DENSE, 0, Memory.UPDATE, 1, first=0),
            r"^core .*: UPDATE: every window must begin with first and end with last$",
        ),
        (
            with_register(DENSE, 0, Control.N_FIRE, 1),
            r"^core .*: N_FIRE must be the 2 windows of UPDATE, got 1$",
        ),
        (
            with_field(DENSE, 0, Memory.UPDATE, 1, clear=0),
            r"^core .*: UPDATE entry 1: accumulator word 1 is left uncleared$",
        ),
        (
            with_field(DENSE, 0, Memory.UPDATE, 1, acc=0),
            r"^core .*: UPDATE entry 0: accumulator word 0 is cleared before its last reading$",
        ),
        (
            with_field(DENSE, 0, Memory.UPDATE, 1, block=2),
            r"^core .*: UPDATE\.block must lie in the 2 blocks of REQUANT, got 2$",
        ),
        (
            shortened(DENSE, 0, Memory.REQUANT, 3),
            r"^core .*: REQUANT must hold 2 words a block, got 3 words$",
        ),
        (
            shortened(dense_program(0, lookup=True)[0], 0, Memory.LOOKUP, 31),
            r"^core .*: LOOKUP must hold 32 words, got 31$",
        ),
        (
            with_field(dense_program(0, lookup=True)[0], 0, Memory.LOOKUP, 3, value=16),
            r"^core .*: LOOKUP entries must lie in -15\.\.15 for 5 bits, got -15\.\.16$",
        ),
        (
            shortened(DENSE, 0, Memory.FIRE, 1),
            r"^core .*: N_FIRE is 2, FIRE has 1 words in use$",
        ),
        (
            with_field(DENSE, 0, Memory.FIRE, 1, count=2),
            r"^core .*: lists reach up to entry 1 of DESTINATION, which has 1 words in use$",
        ),
        (
            with_memory(
                DENSE, 0, Memory.AXON, np.repeat(DENSE.cores[0].memories[Memory.AXON], 5, axis=0)
            ),
            r"^core .*: AXON holds 4 words, the image has 5$",
        ),
    ],
)
def test_core_refuses_an_image_that_contradicts_itself(program, message):
    with pytest.raises(ValueError, match=message):
        core_of(program)
