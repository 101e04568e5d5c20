# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0

import re
from dataclasses import dataclass, field

import pytest
from amaranth.back import rtlil, verilog
from amaranth.hdl import ResetInserter, Signal

from stemcore.golden.spec.address_generation import Operation, loop_nest
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import PRESETS
from stemcore.golden.spec.timing import AXON_IN_CYCLES, AXON_ROOM
from stemcore.hdl.core.axon_in import AxonIn
from tests.support.config_bus import read_words, write_words
from tests.support.presets import preset_params
from tests.support.streams import BY_STALL, Source, simulate

TINY = PRESETS["tiny"]
FORMATS = Formats(TINY)
LATENCY = AXON_IN_CYCLES
TABLES = (Memory.TABLE_C, Memory.TABLE_Y, Memory.TABLE_X)


def _random_entry(rng, layout, **limits):
    """A value for every field; ``limits`` are exclusive."""
    return {name: int(rng.integers(limits.get(name, 1 << width))) for name, width in layout.widths}


@dataclass
class Network:
    """Contents of the connection tables, as fields."""

    axons: list
    tables: list

    @classmethod
    def random(cls, rng, max_count=4):
        """Random everything; counts 0 to ``max_count``."""
        tables = [
            [_random_entry(rng, layout, count=max_count + 1) for _ in range(depth)]
            for layout, depth in map(FORMATS.memory, TABLES)
        ]
        return cls([_random_entry(rng, FORMATS.axon) for _ in range(TINY.n_axons)], tables)

    @classmethod
    def counted(cls, rng, count):
        """Random, but ``count(memory, index)`` says the counts."""
        network = cls.random(rng)
        for memory, table in zip(TABLES, network.tables, strict=True):
            for index, entry in enumerate(table):
                entry["count"] = count(memory, index)
        for axon in network.axons:
            axon.update(c_base=0, y_base=0, x_base=0)
        return network

    def images(self):
        """Memory and words of every table."""
        for memory, entries in zip((Memory.AXON, *TABLES), (self.axons, *self.tables), strict=True):
            layout, _ = FORMATS.memory(memory)
            yield memory, [layout.pack(**entry) for entry in entries]

    def loop_nests(self, spikes, params=TINY):
        """The operations of each spike."""
        return [
            loop_nest(params, self.axons[spike["axon"]], tuple(self.tables), spike)
            for spike in spikes
        ]


@dataclass
class Run:
    """What a run of spikes was seen to do, by cycles."""

    taken: list = field(default_factory=list)  # cycles in which spikes were
    operations: list = field(default_factory=list)
    cycles: list = field(default_factory=list)  # of the operations
    trace: list = field(default_factory=list)  # (valid, op_valid, idle, stalled) of each cycle


def run(network, spikes, stall="free", rng=None, params=TINY):
    """Configures over the bus, sends ``spikes``, watches until all is quiet."""
    dut, result = AxonIn(params), Run()
    source = Source(dut.i, [FORMATS.spike.pack(**spike) for spike in spikes], stall, rng)

    async def drive(ctx):
        for memory, words in network.images():
            await write_words(ctx, dut.config, TINY, memory, words)
        await source.drive(ctx)
        while not ctx.get(dut.idle):
            await ctx.tick()

    async def watch(ctx):
        op = dut.op
        fields = (op.acc, op.weight, op.shift, op.negate, op.n_lanes)
        while True:
            state = (dut.i.valid, dut.op_valid, dut.idle, dut.stalled)
            _, _, ready, *values = await ctx.tick().sample(dut.i.ready, *state, *fields)
            if values[0] and ready:
                result.taken.append(len(result.trace))
            if values[1]:
                result.cycles.append(len(result.trace))
                result.operations.append(Operation(*map(int, values[4:])))
            result.trace.append(tuple(map(int, values[:4])))

    simulate(dut, [drive], background=[watch], limit=200_000)
    return result


def _spikes(rng, n_spikes):
    return [_random_entry(rng, FORMATS.spike) for _ in range(n_spikes)]


def check(network, spikes, result):
    """The operations are golden's, in order, and the status outputs what they promise."""
    want = [operation for one in network.loop_nests(spikes) for operation in one]
    assert result.operations == want
    n_left = len(want)
    for valid, op_valid, idle, stalled in result.trace:
        assert stalled == (not op_valid and (valid or not idle))
        assert not (idle and op_valid)
        n_left -= op_valid
    assert n_left == 0
    assert result.trace[-1] == (0, 0, 1, 0)


@pytest.mark.sim
@BY_STALL
@pytest.mark.parametrize("max_count", [1, 4])
def test_axon_in_matches_golden(max_count, stall, rng):
    network, spikes = Network.random(rng, max_count), _spikes(rng, 250)
    check(network, spikes, run(network, spikes, stall, rng))


@pytest.mark.sim
def test_shifts_do_not_depend_on_the_time_step_where_integration_is_per_step(rng):
    network, spikes = Network.random(rng, 2), _spikes(rng, 80)
    result = run(network, spikes, params=PRESETS["tiny_late"])
    want = [op for one in network.loop_nests(spikes, PRESETS["tiny_late"]) for op in one]
    assert result.operations == want
    assert {op.shift for op in want} <= {axon["shift0"] for axon in network.axons}


@pytest.mark.sim
def test_axon_in_wraps_indices_addresses_and_shifts(rng):
    network = Network.random(rng, 3)
    for axon in network.axons:
        for name, width in FORMATS.axon.widths:
            if name.endswith(("_base", "_step")):
                axon[name] = (1 << width) - 1 - int(rng.integers(2))
        axon["shift0"] = 0
    for table in network.tables:
        for entry in table:
            entry.update(
                acc=TINY.n_acc_words - 1, weight=TINY.n_weight_words - 1, count=entry["count"] or 1
            )
    spikes = _spikes(rng, 80)
    check(network, spikes, run(network, spikes))


@pytest.mark.sim
def test_axon_in_issues_single_operations_every_cycle(rng):
    network = Network.counted(rng, lambda memory, index: 1)
    spikes = _spikes(rng, 200)
    result = run(network, spikes)
    check(network, spikes, result)
    first = result.taken[0]
    assert result.taken == list(range(first, first + 200))
    assert result.cycles == list(range(first + LATENCY, first + LATENCY + 200))


@pytest.mark.sim
def test_axon_in_loop_nests_have_no_bubbles(rng):
    network = Network.counted(rng, lambda memory, index: 1 + index % 3)
    spikes = _spikes(rng, 120)
    result = run(network, spikes)
    check(network, spikes, result)
    first = result.taken[0] + LATENCY
    n_operations = sum(
        (1 + s["c"] % 64 % 3) * (1 + s["y"] % 32 % 3) * (1 + s["x"] % 32 % 3) for s in spikes
    )
    assert result.cycles == list(range(first, first + n_operations))


@pytest.mark.sim
def test_axon_in_drops_empty_loop_nests_in_one_cycle_each(rng):
    empty = rng.integers(3, size=64)

    def count(memory, index):
        return 0 if index and empty[index] == TABLES.index(memory) else 1

    network = Network.counted(rng, count)
    spikes = _spikes(rng, 200)
    result = run(network, spikes)
    check(network, spikes, result)
    first = result.taken[0]
    assert result.taken == list(range(first, first + 200))
    # Each loop nest that is not empty comes as far behind its spike as if it were alone.
    loop_nests = network.loop_nests(spikes)
    assert 0 < len(result.operations) < 200
    assert result.cycles == [
        cycle + LATENCY for cycle, one in zip(result.taken, loop_nests, strict=True) if one
    ]


@pytest.mark.sim
def test_axon_in_hides_empty_loop_nests_behind_a_running_one(rng):
    network = Network.counted(rng, lambda memory, index: (0, 4, 1)[min(index, 2)])
    long = {"axon": 0, "t": 1, "c": 1, "y": 1, "x": 1}
    spikes = [long, *([long | {"c": 0}] * 40), long | {"c": 2}]
    result = run(network, spikes)
    check(network, spikes, result)
    assert result.cycles == list(range(result.cycles[0], result.cycles[0] + 64 + 16))


@pytest.mark.sim
def test_axon_in_holds_spikes_back_while_a_loop_nest_runs(rng):
    network = Network.counted(rng, lambda memory, index: 6 if index else 1)
    long = {"axon": 0, "t": 1, "c": 1, "y": 1, "x": 1}
    spikes = [long, *([long | {"c": 0, "y": 0, "x": 0}] * 40)]
    result = run(network, spikes)
    check(network, spikes, result)
    # Two have left the queue for the address generator by the time that it is full.
    waits = [i for i in range(40) if result.taken[i + 1] - result.taken[i] > 1]
    assert waits == [AXON_ROOM + 1]
    assert result.cycles == list(range(result.cycles[0], result.cycles[0] + 6**3 + 40))


@pytest.mark.sim
def test_axon_in_loop_nests_the_largest_counts(rng):
    network = Network.counted(rng, lambda memory, index: 1)
    network.tables[0][1]["count"] = TINY.n_blocks
    network.tables[1][1]["count"] = TINY.n_acc_words
    network.tables[2][1]["count"] = TINY.n_acc_words
    spike = {"axon": 3, "t": 2, "c": 0, "y": 0, "x": 0}
    spikes = [spike | {name: 1} for name in ("c", "y", "x")]
    spikes.append(spike | {"c": 1, "x": 1})
    check(network, spikes, run(network, spikes))


@pytest.mark.sim
def test_axon_in_forgets_its_loop_nests_in_reset(rng):
    network = Network.counted(rng, lambda memory, index: 3)
    reset = Signal()
    dut = AxonIn(TINY)
    spikes = _spikes(rng, 30)
    first = Source(dut.i, [FORMATS.spike.pack(**spike) for spike in spikes])
    after = _spikes(rng, 2)
    second = Source(dut.i, [FORMATS.spike.pack(**spike) for spike in after])
    got = []

    async def bench(ctx):
        for memory, words in network.images():
            await write_words(ctx, dut.config, TINY, memory, words)
        first.items = first.items[:12]
        await first.drive(ctx)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert (ctx.get(dut.idle), ctx.get(dut.op_valid), ctx.get(dut.i.ready)) == (1, 0, 1)
        await second.drive(ctx)
        while not ctx.get(dut.idle):
            _, _, op_valid, acc = await ctx.tick().sample(dut.op_valid, dut.op.acc)
            if op_valid:
                got.append(acc)

    simulate(ResetInserter(reset)(dut), [bench], limit=5000)
    assert got == [operation.acc for one in network.loop_nests(after) for operation in one]


@pytest.mark.sim
def test_axon_in_reads_its_memories_back(rng):
    network, dut, got = Network.random(rng), AxonIn(TINY), []

    async def bench(ctx):
        for memory, words in network.images():
            await write_words(ctx, dut.config, TINY, memory, words)
        for memory, words in network.images():
            addresses = range(len(words))
            got.append(await read_words(ctx, dut.config, dut.read_chunk, TINY, memory, addresses))

    simulate(dut, [bench], limit=5000)
    assert got == [words for _, words in network.images()]


@pytest.mark.medium
@pytest.mark.parametrize("preset", preset_params())
def test_axon_in_converts(preset):
    assert "module" in rtlil.convert(AxonIn(PRESETS[preset]))
    assert "endmodule" in verilog.convert(AxonIn(PRESETS[preset]))


def test_axon_in_rejects_tables_that_do_not_wrap():
    wanted = re.escape("ChipParams.n_table_y: must be a power of two, got 20")
    with pytest.raises(ValueError, match=f"^{wanted}$"):
        AxonIn(TINY.with_(n_table_y=20))
