# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from amaranth.back import rtlil

from stemcore.golden.arithmetic.potentials import update
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.neurons.late import Late
from stemcore.golden.spec.neurons.scaled import Scaled
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.sixteen_bits import HIGHEST, LOWEST
from stemcore.hdl.core.neurons.late import LateUpdate
from stemcore.hdl.core.neurons.scaled import ScaledUpdate
from stemcore.hdl.core.potential_update import NoUpdate
from tests.support.presets import preset_params
from tests.support.streams import simulate

UPDATES = {"late": LateUpdate, "scaled": ScaledUpdate}
LATE = get_preset("tiny_late").with_(n_acc_words=8)
SCALED = get_preset("tiny_scaled").with_(n_acc_words=8)
LEAN = SCALED.with_(multipliers=False)
CASES = [
    *((LATE, Late(r), n) for r, n in ((0, 8), (1, 8), (4, 8), (7, 8), (15, 8), (2, 3), (5, 2))),
    *(
        (SCALED, Scaled(m, s), n)
        for m, s, n in (
            (1, 0, 8),
            (1, 3, 8),
            (1, 16, 5),
            (1, 31, 8),
            (1 << 15, 16, 8),
            (41234, 18, 8),
            (65535, 16, 8),
            (60001, 31, 4),
        )
    ),
    *((LEAN, Scaled(1, s), n) for s, n in ((0, 8), (1, 8), (5, 8), (15, 3), (17, 8), (31, 2))),
]


def run_steps(params, neuron, n_steps, sums, *, gaps, read_only=()):
    """Potentials (steps, groups, lanes) of groups updated step by step; ``sums`` likewise.

    After the last step the groups of ``read_only`` are looked at in one more step 0, not stored,
    and once more in step 1 with sums of zero.
    """
    dut = UPDATES[params.integration](params)
    latency = params.model.update_latency(params.multipliers)
    n_groups = sums.shape[1]
    results, extra, cycles = [], [], []

    async def update_pass(ctx, t, groups, values, store):
        ctx.set(dut.period, t)
        await ctx.tick().repeat(2)
        taken = []

        async def feed():
            for k, g in enumerate(groups):
                for _ in range(gaps[k % len(gaps)]):
                    yield None
                yield g

        feeding, cycle, entered = feed(), 0, []
        while len(taken) < len(groups):
            g = await anext(feeding, None)
            ctx.set(dut.i_valid, g is not None)
            if g is not None:
                entered.append(cycle)
                ctx.set(dut.address, int(g))
                ctx.set(dut.store, store)
                for lane in range(params.soma_lanes):
                    ctx.set(dut.i[lane], int(values[g, lane]))
            else:
                for lane in range(params.soma_lanes):
                    ctx.set(dut.i[lane], 0x1234)
            _, _, valid, o = await ctx.tick().sample(dut.o_valid, dut.o)
            if valid:
                cycles.append(cycle - entered[len(taken)])
                taken.append([o[lane] for lane in range(params.soma_lanes)])
            cycle += 1
        ctx.set(dut.i_valid, 0)
        await ctx.tick().repeat(latency)
        return taken

    async def drive(ctx):
        for name, value in neuron.to_fields(n_steps).items():
            ctx.set(dut.constants[name], value)
        for t in range(n_steps):
            results.append(await update_pass(ctx, t, range(n_groups), sums[t], 1))
        if len(read_only):
            zeros = np.zeros_like(sums[0])
            await update_pass(ctx, 1, read_only, sums[0], 0)
            extra.append(await update_pass(ctx, 1, read_only, zeros, 0))

    simulate(dut, [drive], limit=20_000)
    assert set(cycles) == {latency}
    return np.array(results), np.array(extra)


def random_sums(rng, params, n_steps):
    """Sums that reach the rails, and small ones."""
    shape = (n_steps, params.n_acc_words * params.n_groups, params.soma_lanes)
    sums = rng.integers(LOWEST, HIGHEST + 1, shape) >> rng.integers(0, 16, shape)
    sums[rng.random(shape) < 0.05] = LOWEST
    sums[rng.random(shape) < 0.05] = HIGHEST
    return sums


@pytest.mark.parametrize(("params", "neuron", "n_steps"), CASES)
def test_update_matches_golden(params, neuron, n_steps, rng):
    sums = random_sums(rng, params, n_steps)
    got, _ = run_steps(params, neuron, n_steps, sums, gaps=[int(g) for g in rng.integers(0, 3, 7)])
    v = None
    for t in range(n_steps):
        v = update(neuron, v, sums[t], t, n_steps)
        np.testing.assert_array_equal(got[t], v, err_msg=f"step {t}")


@pytest.mark.parametrize("params", [LATE, SCALED, LEAN], ids=["late", "scaled", "lean"])
def test_what_is_not_stored_changes_nothing(params, rng):
    neuron = Late(0) if params is LATE else Scaled()
    sums = random_sums(rng, params, 4) >> 6
    _, extra = run_steps(params, neuron, 4, sums, gaps=[0], read_only=[3, 1, 7])
    v = None
    for t in range(4):
        v = update(neuron, v, sums[t], t, 4)
    np.testing.assert_array_equal(extra[0], 2 * v[[3, 1, 7]])


@pytest.mark.medium
@pytest.mark.parametrize("preset", preset_params(n for n, p in PRESETS.items() if p.model.state))
def test_update_converts(preset):
    params = get_preset(preset)
    for chip in (params, params.with_(multipliers=False)):
        rtlil.convert(UPDATES[params.integration](chip), emit_src=False)


def test_exact_cores_have_no_update_and_no_register():
    tiny = get_preset("tiny")
    assert tiny.model.update_latency(True) == 0
    assert Formats(tiny).n_registers + 1 == Formats(LATE).n_registers
    rtlil.convert(NoUpdate(tiny), emit_src=False)
