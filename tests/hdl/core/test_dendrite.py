# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from amaranth.back import rtlil, verilog
from amaranth.hdl import Fragment, ResetInserter, Signal

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import PRESETS
from stemcore.golden.spec.timing import OVERFLOW_CYCLES
from stemcore.hdl.core.dendrite import Dendrite
from stemcore.hdl.platforms import PROCESSOR
from tests.support.config_bus import read_words, write_words
from tests.support.crossed import crossed
from tests.support.presets import preset_params
from tests.support.streams import simulate

TINY = PRESETS["tiny"]
NARROW = TINY.with_(acc_width=16)
WIDE = TINY.with_(acc_width=32)
LATENCY = OVERFLOW_CYCLES  # the first idle cycle comes as late
READ_CYCLES = 3  # from an update pass' read to its word


class Reference:
    """Potentials and overflows of operations done one after the other, by the contract."""

    def __init__(self, params, weights):
        self.params = params
        self.weights = weights.astype(np.int64)
        self.potentials = np.zeros((params.n_acc_words, params.lanes), np.int64)

    def apply(self, acc, weight, shift, negate):
        """Does one operation; returns whether it overflows."""
        half = 1 << (self.params.acc_width - 1)
        addend = np.where(negate, -self.weights[weight], self.weights[weight]) << shift
        exact = self.potentials[acc] + addend
        self.potentials[acc] = (exact + half) % (2 * half) - half
        return bool(
            ((exact < -half) | (exact >= half)).any() | ((addend < -half) | (addend >= half)).any()
        )


class Bench:
    """A dendrite under test: configured, driven cycle by cycle, compared as a whole."""

    def __init__(self, params, rng, platform=None):
        self.params, self.rng, self.platform = params, rng, platform
        shape = (params.n_weight_words, params.lanes)
        self.weights = rng.integers(-127, 128, size=shape)
        # Corners of the weights in the first words.
        self.weights[:4] = np.array([127, -127, 0, 1])[:, None]
        self.reference = Reference(params, self.weights)
        self.reset = Signal()
        self.dut = Dendrite(params)
        self.overflows = []  # of every cycle, seen
        self.idles = []

    async def configure(self, ctx, n_words):
        """Writes the first ``n_words`` weight words over the bus."""
        layout = Formats(self.params).weight
        words = [
            layout.pack(**{f"w{i}": int(w) % 256 for i, w in enumerate(word)})
            for word in self.weights[:n_words]
        ]
        await write_words(ctx, self.dut.config, self.params, Memory.WEIGHT, words)
        return words

    def random_operation(self, n_acc=None, n_weight=32):
        """Among the first addresses."""
        n_acc = n_acc or self.params.n_acc_words
        return tuple(
            int(self.rng.integers(n)) for n in (n_acc, n_weight, 1 << self.params.shift_width, 2)
        )

    async def cycle(self, ctx, operation=None):
        """One clock cycle, with an operation or without."""
        dut = self.dut
        ctx.set(dut.op_valid, operation is not None)
        if operation is not None:
            for name, value in zip(("acc", "weight", "shift", "negate"), operation, strict=True):
                ctx.set(dut.op[name], value)
        _, _, overflow, idle = await ctx.tick().sample(dut.overflow, dut.idle)
        self.overflows.append(overflow)
        self.idles.append(idle)
        ctx.set(dut.op_valid, 0)

    async def update_pass(self, ctx):
        """Every word, read back to back through the update pass port."""
        dut, got = self.dut, []
        for address in [*range(self.params.n_acc_words), *[None] * READ_CYCLES]:
            if len(got) < READ_CYCLES:
                got.append(None)
            else:
                got.append([ctx.get(lane) for lane in dut.accumulators.data])
            ctx.set(dut.accumulators.read, address is not None)
            ctx.set(dut.accumulators.address, address or 0)
            await ctx.tick()
        return np.array(got[READ_CYCLES:], np.int64)

    async def wait_idle(self, ctx):
        while not ctx.get(self.dut.idle):
            await self.cycle(ctx)

    def simulate(self, bench, limit=20_000):
        async def drive(ctx):
            await bench(ctx)

        dut = Fragment.get(ResetInserter(self.reset)(self.dut), self.platform)
        simulate(dut, [drive], limit=limit)


def _play(bench, operations, n_weight=32):
    """Runs ``operations`` (None: a gap), compares every potential and every overflow pulse."""
    expected, got = [], []

    async def drive(ctx):
        await bench.configure(ctx, n_weight)
        bench.overflows.clear()
        bench.idles.clear()
        for operation in operations:
            await bench.cycle(ctx, operation)
            expected.append(operation is not None and bench.reference.apply(*operation))
        for _ in range(LATENCY + 1):
            await bench.cycle(ctx)
        got.append(await bench.update_pass(ctx))

    bench.simulate(drive, limit=20_000 + len(operations))
    busy = [operation is not None for operation in operations]
    n_cycles = len(bench.overflows)
    late = ([False] * LATENCY + expected + [False])[:n_cycles]
    assert [bool(x) for x in bench.overflows] == late
    busy = [False] * LATENCY + busy + [False] * LATENCY
    assert [bool(x) for x in bench.idles] == [
        not any(busy[i + 1 : i + LATENCY]) for i in range(n_cycles)
    ]
    np.testing.assert_array_equal(got[0], bench.reference.potentials)
    return expected


@pytest.mark.sim
@crossed(
    n_acc=[1, 3, 64],
    gaps=["none", "half", "most"],
    params={"24": TINY, "16": NARROW, "32": WIDE},
    platform=[None, PROCESSOR],
)
def test_dendrite_matches_reference(n_acc, gaps, params, platform, rng):
    bench = Bench(params, rng, platform)
    share = {"none": 0, "half": 0.5, "most": 0.8}[gaps]
    operations = [
        None if rng.random() < share else bench.random_operation(n_acc) for _ in range(250)
    ]
    _play(bench, operations)


@pytest.mark.sim
@pytest.mark.parametrize("distance", [1, 2, 3, 4, 5, 6])
def test_dendrite_forwards_over_every_distance(distance, rng):
    bench = Bench(TINY, rng)
    operations = []
    for start in range(0, 56, 7):
        # One word is hit again after exactly so many cycles; others, or gaps, lie between.
        hit, others = start, range(start + 1, start + 7)
        for k in range(20):
            between = others[k % distance] if rng.random() < 0.7 else None
            address = hit if k % distance == 0 else between
            operation = bench.random_operation()
            operations.append(None if address is None else (address, *operation[1:]))
    _play(bench, operations)


@pytest.mark.sim
def test_dendrite_takes_the_latest_of_several_results(rng):
    bench = Bench(TINY, rng)
    operations = []
    for pattern in range(4**6):
        digits = [(pattern >> (2 * k)) & 3 for k in range(6)]
        operations += [None if d == 3 else (d, *bench.random_operation()[1:]) for d in digits]
    _play(bench, operations)


@pytest.mark.sim
@pytest.mark.parametrize("negate", [0, 1])
@pytest.mark.parametrize("params", [TINY, NARROW], ids=["24", "16"])
def test_dendrite_shifts_by_every_amount(params, negate, rng):
    bench = Bench(params, rng)
    operations = [
        (4 * shift + word, word, shift, negate) for shift in range(16) for word in range(4)
    ]
    _play(bench, operations)


@pytest.mark.sim
@pytest.mark.parametrize("negate", [0, 1])
@pytest.mark.parametrize("params", [TINY, NARROW, WIDE], ids=["24", "16", "32"])
def test_dendrite_wraps_at_both_rails_and_tells(params, negate, rng):
    bench = Bench(params, rng)
    # Steps of at most an eighth of the range, up word 0 and down word 1, across the rails and back.
    shift = min(params.acc_width - 10, 15)
    n_steps = 40 if params.acc_width < 32 else 600
    operations = [(k % 2, k % 2, shift, negate) for k in range(2 * n_steps)]
    operations += [(k % 2, 1 - k % 2, shift, negate) for k in range(2 * n_steps)]
    assert sum(_play(bench, operations)) > 0


@pytest.mark.sim
@pytest.mark.parametrize("negate", [0, 1])
def test_dendrite_overflows_only_beyond_the_rails(negate, rng):
    bench = Bench(NARROW, rng)
    half = 1 << 15
    bench.weights[4:8] = np.array([64, -64, 127, 2])[:, None]
    bench.weights[8:10] = np.array([-1, -127])[:, None]
    bench.reference = Reference(NARROW, bench.weights)
    # Up to half - 1 exactly, one more, back; down to -half exactly, one more. -1 << 15 alone fits.
    up, down, one = (5, 4, 8) if negate else (4, 5, 3)
    unit = 3 if negate else 8
    operations = [(0, up, 8, negate), (0, unit, 0, negate), (0, up, 8, negate)]
    operations += [(0, one, 0, negate), (0, unit, 0, negate)]
    operations += [(1, down, 9, negate), (1, unit, 0, negate), (1, one, 0, negate)]
    operations += [(2, 8, 15, 0), (3, 3, 15, 1), (4, 3, 15, 0), (5, 8, 15, 1)]
    expected = _play(bench, operations)
    assert expected == [
        False,
        False,
        False,
        True,
        True,
        False,
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    assert bench.reference.potentials[0, 0] == half - 1


@pytest.mark.sim
def test_dendrite_reads_its_weights_back(rng):
    bench, got = Bench(TINY, rng), []

    async def drive(ctx):
        words = await bench.configure(ctx, TINY.n_weight_words)
        addresses = range(TINY.n_weight_words)
        dut = bench.dut
        read = await read_words(ctx, dut.config, dut.read_chunk, TINY, Memory.WEIGHT, addresses)
        got.append((words, read))

    bench.simulate(drive)
    words, read = got[0]
    assert read == words


@pytest.mark.sim
def test_dendrite_updates_hold_and_clears_are_seen_two_cycles_later(rng):
    bench = Bench(TINY, rng)

    async def drive(ctx):
        dut, potentials = bench.dut, bench.reference.potentials

        def updated():
            return [ctx.get(lane) for lane in dut.accumulators.data]

        await bench.configure(ctx, 32)
        for round_ in range(3):
            for _ in range(200):
                operation = bench.random_operation(8)
                await bench.cycle(ctx, operation)
                bench.reference.apply(*operation)
            await bench.wait_idle(ctx)
            last = operation[0]
            for address in (last, *range(8)):
                ctx.set(dut.accumulators.read, 1)
                ctx.set(dut.accumulators.address, address)
                await ctx.tick()
                # Cleared right behind the read of it.
                ctx.set(dut.accumulators.read, 0)
                ctx.set(dut.accumulators.clear, round_ < 2)
                ctx.set(dut.accumulators.clear_address, address)
                await ctx.tick()
                ctx.set(dut.accumulators.clear, 0)
                await ctx.tick().repeat(READ_CYCLES - 2)
                for _ in range(4):
                    assert updated() == list(potentials[address])
                    await ctx.tick()
                if round_ < 2:
                    potentials[address] = 0
            # What was forwarded before the clear must not come back.
            for operation in [(last, 5, 3, 0), (last, 6, 2, 1)]:
                await bench.cycle(ctx, operation)
                bench.reference.apply(*operation)
            await bench.wait_idle(ctx)
            np.testing.assert_array_equal(await bench.update_pass(ctx), potentials)

        for address in range(8):
            for wait in (2, 3):
                ctx.set(dut.accumulators.clear, 1)
                ctx.set(dut.accumulators.clear_address, address)
                await ctx.tick()
                ctx.set(dut.accumulators.clear, 0)
                await ctx.tick().repeat(wait - 1)
                ctx.set(dut.accumulators.read, 1)
                ctx.set(dut.accumulators.address, address)
                await ctx.tick()
                ctx.set(dut.accumulators.read, 0)
                await ctx.tick().repeat(READ_CYCLES - 1)
                assert updated() == [0] * TINY.lanes

    bench.simulate(drive)


@pytest.mark.sim
def test_dendrite_clears_a_word_a_cycle_and_adds_right_after(rng):
    bench, got = Bench(TINY, rng), []

    async def drive(ctx):
        dut, reference = bench.dut, bench.reference
        await bench.configure(ctx, 32)
        for _ in range(200):
            await bench.cycle(ctx, bench.random_operation())
        await bench.wait_idle(ctx)
        for address in range(TINY.n_acc_words):
            ctx.set(dut.accumulators.clear, 1)
            ctx.set(dut.accumulators.clear_address, address)
            await ctx.tick()
        ctx.set(dut.accumulators.clear, 0)
        for _ in range(6):
            operation = (TINY.n_acc_words - 1, *bench.random_operation()[1:])
            await bench.cycle(ctx, operation)
            reference.apply(*operation)
        await bench.wait_idle(ctx)
        got.append(await bench.update_pass(ctx))

    bench.simulate(drive)
    np.testing.assert_array_equal(got[0], bench.reference.potentials)


@pytest.mark.sim
def test_dendrite_reset_drops_what_is_in_flight_and_nothing_else(rng):
    bench, got = Bench(TINY, rng), []
    n_old = 8

    async def drive(ctx):
        dut, reference = bench.dut, bench.reference
        await bench.configure(ctx, 32)
        for _ in range(100):
            operation = bench.random_operation(n_old)
            await bench.cycle(ctx, operation)
            reference.apply(*operation)
        await bench.wait_idle(ctx)
        # In flight at the reset: words that nothing is expected of.
        for _ in range(6):
            operation = bench.random_operation(4)
            await bench.cycle(ctx, (n_old + operation[0], *operation[1:]))
        ctx.set(bench.reset, 1)
        await ctx.tick()
        ctx.set(bench.reset, 0)
        assert (ctx.get(dut.idle), ctx.get(dut.overflow)) == (1, 0)
        bench.overflows.clear()
        for _ in range(10):
            await bench.cycle(ctx)
        assert not any(bench.overflows)
        for _ in range(50):
            operation = bench.random_operation(n_old)
            await bench.cycle(ctx, operation)
            reference.apply(*operation)
        await bench.wait_idle(ctx)
        got.append(await bench.update_pass(ctx))

    bench.simulate(drive)
    np.testing.assert_array_equal(got[0][:n_old], bench.reference.potentials[:n_old])


@pytest.mark.medium
@pytest.mark.parametrize("preset", preset_params())
def test_dendrite_converts(preset):
    assert "module" in rtlil.convert(Dendrite(PRESETS[preset]))
    assert "endmodule" in verilog.convert(Dendrite(PRESETS[preset]))


def test_dendrite_rejects_a_shift_of_one_stage():
    with pytest.raises(ValueError, match=r"^Dendrite: shift_width must be more than 2, got 2$"):
        Dendrite(TINY.with_(shift_width=2))
