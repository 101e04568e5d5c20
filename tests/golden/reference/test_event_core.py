# SPDX-License-Identifier: Apache-2.0
import pytest

from stemcore.golden.reference.event_core import EventCore
from stemcore.golden.spec.address_generation import Operation
from stemcore.golden.spec.fields import Memory
from tests.support.edit_program import with_field
from tests.support.hand_programs import conv_chain_program, dense_program


@pytest.mark.parametrize(
    ("start", "weight", "shift", "negate", "potential", "overflow"),
    [
        (0, 3, 4, False, 48, False),
        (0, 3, 4, True, -48, False),
        ((1 << 23) - 49, 3, 4, False, (1 << 23) - 1, False),
        ((1 << 23) - 48, 3, 4, False, -(1 << 23), True),
        (-(1 << 23) + 48, 3, 4, True, -(1 << 23), False),
        (-(1 << 23) + 47, 3, 4, True, (1 << 23) - 1, True),
    ],
)
def test_operation_wraps_and_says_so(start, weight, shift, negate, potential, overflow):
    program, _ = dense_program(0)
    program = with_field(program, 0, Memory.WEIGHT, 0, w0=weight, w1=0, w2=0, w3=0)
    core = EventCore(program.cores[0], program.params)
    core.accumulators[5][0] = start
    core.operate(Operation(5, 0, shift, int(negate), 3))
    assert core.accumulators[5] == [potential, 0, 0, 0]
    assert core.overflow is overflow


def test_overflow_of_the_shifted_weight_alone_is_seen():
    program, _ = dense_program(0)
    program = with_field(program, 0, Memory.WEIGHT, 0, w0=0x81, w1=0, w2=0, w3=0)
    params = program.params.with_(acc_width=16)
    core = EventCore(program.cores[0], params)
    core.accumulators[0][0] = (1 << 15) - 1
    # -127 << 9 is beyond 16 bits, though the sum would come back into them.
    core.operate(Operation(0, 0, 9, 0, 3))
    assert core.overflow


def test_update_clears_the_accumulators(rng):
    program, _ = conv_chain_program(0)
    core = EventCore(program.cores[0], program.params)
    for word in range(16):
        core.accumulators[word] = rng.integers(-999, 999, 4).tolist()
    assert len(core.update_pass()) == 4
    assert not any(map(any, core.accumulators))
