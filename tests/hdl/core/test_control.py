# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
import pytest
from amaranth.back import rtlil

from stemcore.golden.spec.errors import WATCHDOG_WIDTH
from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.presets import PRESETS, get_preset
from stemcore.golden.spec.registers import Control as Register
from stemcore.golden.spec.widths import CHUNK_WIDTH
from stemcore.hdl.core.control import Control
from stemcore.hdl.core.counters import SOP_WIDTH
from tests.support.control_bench import (
    Blocks,
    Stillness,
    configure,
    pulse,
    read,
    send_tokens,
    until,
    write,
)
from tests.support.registers import elaborated
from tests.support.streams import simulate

TINY = get_preset("tiny")
FORMATS = Formats(TINY)
WIDTHS = {
    Register.N_SOURCES: TINY.token_width,
    Register.N_DESTINATIONS: TINY.token_width,
    Register.N_UPDATE: TINY.update_address_width + 1,
    Register.N_FIRE: TINY.fire_address_width + 1,
    Register.MODE: FORMATS.mode.width,
    Register.END_LIST: FORMATS.token_list.width,
    Register.CREDIT_LIST: FORMATS.token_list.width,
    Register.WATCHDOG: WATCHDOG_WIDTH,
}
PORTS = {
    Register.N_UPDATE: "n_update",
    Register.N_FIRE: "n_fire",
    Register.MODE: "mode",
    Register.END_LIST: "end_list",
    Register.CREDIT_LIST: "credit_list",
    Register.WATCHDOG: "watchdog",
}
START = FORMATS.command.pack(start=1, clear_counters=0, stop=0, clear_errors=0)
CLEAR = FORMATS.command.pack(start=0, clear_counters=1, stop=0, clear_errors=0)
# Inputs to count, by register: port and largest amount of one cycle.
EVENTS = {
    Register.SPIKES_IN: ("spike_in", 1),
    Register.SPIKES_OUT: ("sent", 1),
    Register.FIRED: ("fired", TINY.lanes),
    Register.BUSY: ("op_valid", 1),
    Register.STALLED: ("stalled", 1),
    Register.HOPS: ("hops", 4),
}


# ---- Registers


def test_registers_keep_what_is_written(rng):
    dut = Control(params=TINY)

    async def drive(ctx):
        for _ in range(3):
            values = {register: int(rng.integers(1 << 32)) for register in WIDTHS}
            for register, value in values.items():
                await write(ctx, dut, register, value)
            for register, value in values.items():
                wanted = value & ((1 << WIDTHS[register]) - 1)
                assert await read(ctx, dut, register) == wanted, register.name
                if register in PORTS:
                    port = getattr(dut, PORTS[register])
                    port = port.as_value() if hasattr(port, "as_value") else port
                    assert ctx.get(port) == wanted, register.name

    simulate(dut, [drive], limit=200)


def test_other_memories_and_read_only_registers_are_left_alone():
    dut = Control(params=TINY)

    async def drive(ctx):
        await configure(ctx, dut, 3, 5)
        for memory in Memory:
            if memory != Memory.CONTROL:
                await write(ctx, dut, Register.N_SOURCES, 9, memory)
                await write(ctx, dut, Register.COMMAND, START, memory)
                assert not ctx.get(dut.clear_all)
        for register in range(Register.SOPS_LOW, 32):
            await write(ctx, dut, register, 0xFFFFFFFF)
        assert await read(ctx, dut, Register.N_SOURCES) == 3
        assert await read(ctx, dut, Register.N_DESTINATIONS) == 5
        holes = set(range(32)) - {int(register) for register in WIDTHS}
        for register in holes:
            assert await read(ctx, dut, register) == 0, register

    simulate(dut, [drive], limit=400)


def test_answer_stays_until_the_next_read_of_control():
    dut = Control(params=TINY)

    async def drive(ctx):
        await configure(ctx, dut, 3, 5)
        assert await read(ctx, dut, Register.N_DESTINATIONS) == 5
        ctx.set(dut.config.memory, int(Memory.WEIGHT))
        await pulse(ctx, dut.config.read)
        await ctx.tick().repeat(5)
        assert ctx.get(dut.read_chunk) == 5

    simulate(dut, [drive], limit=40)


# ---- The life of a sample


def test_start_clears_then_grants():
    dut = Control(params=TINY)
    blocks = Blocks(dut, busy=lambda _: 9)

    async def drive(ctx):
        await configure(ctx, dut, 2, 1)
        assert blocks.names() == []
        started = blocks.cycle
        await write(ctx, dut, Register.COMMAND, START)
        await until(ctx, lambda: len(blocks.commands) == 2)
        # The command is taken a cycle after its write; then the core is busy for nine cycles.
        assert blocks.commands == [(started + 1, "clear_all"), (started + 12, "grant")]
        await ctx.tick().repeat(30)
        assert len(blocks.commands) == 2
        flags = FORMATS.flags.unpack(await read(ctx, dut, Register.FLAGS))
        assert flags == {"overflow": 0, "running": 1}

    simulate(dut, [drive], limit=200, background=[blocks])


@pytest.mark.parametrize("hindrance", ["axon_idle", "dendrite_idle", "fire_busy", "end"])
def test_update_waits_for_every_condition(hindrance):
    dut = Control(params=TINY)
    blocks = Blocks(dut)

    async def drive(ctx):
        await configure(ctx, dut, 3, 1)
        await pulse(ctx, dut.credit)
        await write(ctx, dut, Register.COMMAND, START)
        await until(ctx, lambda: blocks.names()[-1:] == ["grant"])
        await ctx.tick().repeat(6)
        if hindrance == "fire_busy":
            # A first sample, which axon-out then takes long to fire.
            await pulse(ctx, dut.end, 3)
            blocks.busy = lambda _: 60
            await until(ctx, lambda: blocks.names()[-1] == "fire")
        elif hindrance != "end":
            ctx.set(getattr(dut, hindrance), 0)
        before = blocks.names().count("update_pass")
        await pulse(ctx, dut.end, 2 if hindrance == "end" else 3)
        for _ in range(30):
            await ctx.tick()
            assert blocks.names().count("update_pass") == before
        if hindrance == "end":
            assert ctx.get(dut.waiting)
            await pulse(ctx, dut.end)
        elif hindrance != "fire_busy":
            ctx.set(getattr(dut, hindrance), 1)
        await until(ctx, lambda: blocks.names().count("update_pass") == before + 1)

    simulate(dut, [drive], limit=400, background=[blocks])


def test_credits_before_start_are_kept_and_used_up_together():
    dut = Control(params=TINY)
    blocks = Blocks(dut)

    async def sample(ctx):
        await pulse(ctx, dut.end, 2)
        await ctx.tick().repeat(40)

    async def drive(ctx):
        await configure(ctx, dut, 2, 3)
        await pulse(ctx, dut.credit, 3)
        await write(ctx, dut, Register.COMMAND, START)
        await ctx.tick().repeat(20)
        await sample(ctx)
        expected = ["clear_all", "grant", "update_pass", "grant", "fire"]
        assert blocks.names() == expected
        # All three are used up: the next sample is updated, and waits for three new ones.
        await sample(ctx)
        expected += ["update_pass", "grant"]
        assert blocks.names() == expected
        await pulse(ctx, dut.credit, 2)
        await ctx.tick().repeat(20)
        assert blocks.names() == expected
        assert ctx.get(dut.waiting)
        await pulse(ctx, dut.credit)
        await ctx.tick().repeat(20)
        assert blocks.names() == [*expected, "fire"]

    simulate(dut, [drive], limit=600, background=[blocks])


def test_sample_fires_while_the_next_one_comes_in():
    dut = Control(params=TINY)
    blocks = Blocks(dut)

    async def drive(ctx):
        await configure(ctx, dut, 1, 1)
        await write(ctx, dut, Register.COMMAND, START)
        await ctx.tick().repeat(20)
        await pulse(ctx, dut.end)
        await until(ctx, lambda: blocks.names()[2:] == ["update_pass", "grant"])
        # The END of the second sample may come before the credit of the first.
        await ctx.tick().repeat(10)
        await pulse(ctx, dut.end)
        await ctx.tick().repeat(20)
        assert blocks.names()[2:] == ["update_pass", "grant"]
        await pulse(ctx, dut.credit)
        await ctx.tick().repeat(30)
        assert blocks.names()[2:] == ["update_pass", "grant", "fire", "update_pass", "grant"]

    simulate(dut, [drive], limit=300, background=[blocks])


def test_firing_and_the_next_sample_do_not_wait_for_the_grant():
    dut = Control(params=TINY)
    blocks = Blocks(dut, busy=lambda name: 80 if name == "grant" else 3)

    async def drive(ctx):
        await configure(ctx, dut, 1, 1)
        await write(ctx, dut, Register.COMMAND, START)
        await until(ctx, lambda: blocks.names() == ["clear_all", "grant"])
        await pulse(ctx, dut.credit)
        await pulse(ctx, dut.end)
        await until(ctx, lambda: blocks.names()[2:] == ["update_pass", "fire"], limit=20)
        assert ctx.get(dut.granting)
        # The next grant is not merged into the one on its way.
        await until(ctx, lambda: not ctx.get(dut.granting))
        assert blocks.names()[2:] == ["update_pass", "fire"]
        await until(ctx, lambda: blocks.names()[2:] == ["update_pass", "fire", "grant"], limit=2)

    simulate(dut, [drive], limit=400, background=[blocks])


def random_life(dut, rng, n_samples):
    """A bench: tokens at random times, as the protocol permits them, for ``n_samples``."""
    n_sources, n_destinations = (int(n) for n in rng.integers(1, 5, 2))
    blocks = Blocks(dut, busy=lambda _: int(rng.integers(1, 12)))

    async def drive(ctx):
        await configure(ctx, dut, n_sources, n_destinations)
        early = int(rng.integers(n_destinations + 1))
        await pulse(ctx, dut.credit, early)
        await write(ctx, dut, Register.COMMAND, START)
        await send_tokens(
            ctx,
            blocks,
            rng,
            (n_sources, n_samples),
            (n_destinations, n_samples),
            early=early,
            end_rate=0.3,
            credit_rate=0.2,
        )

    return drive, blocks


@pytest.mark.medium
def test_random_lives_keep_the_order_of_commands(rng):
    for _ in range(6):
        dut = Control(params=TINY)
        drive, blocks = random_life(dut, rng, 12)
        simulate(dut, [drive], limit=6000, background=[blocks])
        names = blocks.names()
        assert names[:2] == ["clear_all", "grant"]
        # Firing begins with the CREDITs, before or after the grant.
        samples = [names[i : i + 3] for i in range(2, len(names), 3)]
        assert [sample[0] for sample in samples] == ["update_pass"] * 12
        assert [sorted(sample[1:]) for sample in samples] == [["fire", "grant"]] * 12


@pytest.mark.medium
def test_waiting_means_that_no_register_changes(rng):
    stillness = Stillness()
    for _ in range(6):
        dut = Control(params=TINY)
        fragment, registers = elaborated(dut)
        assert len(registers) > 20
        drive, blocks = random_life(dut, rng, 8)
        watch = stillness.watch(dut, registers)
        simulate(fragment, [drive], limit=6000, background=[blocks, watch])
    assert stillness.n_waits > 100
    assert stillness.n_changes > 100


# ---- What is due, and STOP


def test_spikes_are_due_until_all_sources_have_ended():
    dut = Control(params=TINY)
    blocks = Blocks(dut)

    async def drive(ctx):
        await configure(ctx, dut, 2, 1)
        assert not ctx.get(dut.may_spike)
        await write(ctx, dut, Register.COMMAND, START)
        await until(ctx, lambda: blocks.names()[-1:] == ["grant"])
        for _ in range(3):
            await until(ctx, lambda: ctx.get(dut.may_spike))
            await pulse(ctx, dut.end)
            assert ctx.get(dut.may_spike)
            await pulse(ctx, dut.end)
            # Not one cycle longer: the next flit may come at once.
            n_grants = blocks.names().count("grant")
            while blocks.names().count("grant") == n_grants:
                assert not ctx.get(dut.may_spike)
                await ctx.tick()
            await pulse(ctx, dut.credit)

    simulate(dut, [drive], limit=400, background=[blocks])


def test_credits_are_due_until_all_are_there():
    dut = Control(params=TINY)

    async def drive(ctx):
        assert not ctx.get(dut.may_credit)
        await configure(ctx, dut, 1, 3)
        await ctx.tick().repeat(3)  # after a write, until a new number of destinations shows
        for _ in range(3):
            assert ctx.get(dut.may_credit)
            await pulse(ctx, dut.credit)
        assert not ctx.get(dut.may_credit)

    simulate(dut, [drive], limit=40)


@pytest.mark.parametrize("n", [31, 32, 33, (1 << TINY.token_width) - 1])
def test_tokens_of_as_many_nodes_as_registers_can_say_are_counted(n):
    """Sources and destinations: none too few, none too many, in two samples."""
    dut = Control(params=TINY)
    blocks = Blocks(dut)

    async def drive(ctx):
        await configure(ctx, dut, n, n)
        await write(ctx, dut, Register.COMMAND, START)
        await until(ctx, lambda: blocks.names()[-1:] == ["grant"])
        for sample in (1, 2):
            await pulse(ctx, dut.end, n - 1)
            await ctx.tick().repeat(20)
            assert blocks.names().count("update_pass") == sample - 1
            await pulse(ctx, dut.end)
            await until(ctx, lambda s=sample: blocks.names().count("grant") == s + 1)
            for _ in range(n):
                assert ctx.get(dut.may_credit)
                assert blocks.names().count("fire") == sample - 1
                await pulse(ctx, dut.credit)
            assert not ctx.get(dut.may_credit)
            await until(ctx, lambda s=sample: blocks.names().count("fire") == s)
            await until(ctx, lambda: ctx.get(dut.may_credit))
        assert blocks.names().count("update_pass") == 2

    simulate(dut, [drive], limit=20 * n + 400, background=[blocks])


STOP = FORMATS.command.pack(start=0, clear_counters=0, stop=1, clear_errors=0)


@pytest.mark.parametrize("when", range(0, 60, 3))
def test_stop_brings_any_state_to_that_after_configuration(when):
    dut = Control(params=TINY)
    blocks = Blocks(dut)
    fragment, registers = elaborated(dut)
    kept = {"end_list", "samples", "update_cycles", "fire_cycles", "read_chunk", "drained"}
    kept |= {"written", "n_sources", "n_destinations"}
    kept |= {f"shown_{group}" for group in range(4)}

    async def run(ctx):
        await write(ctx, dut, Register.COMMAND, START)
        for _ in range(2):
            await ctx.tick().repeat(16)
            await pulse(ctx, dut.end, 2)
            await pulse(ctx, dut.credit)

    async def drive(ctx):
        await configure(ctx, dut, 2, 1)
        await ctx.tick().repeat(4)
        before = {register.name: ctx.get(register) for register in registers}
        await write(ctx, dut, Register.COMMAND, START)
        for cycle in range(when):
            # Two samples, one of which stays for want of a CREDIT.
            ctx.set(dut.end, cycle in (12, 14, 32, 33))
            ctx.set(dut.credit, cycle == 20)
            await ctx.tick()
        ctx.set(dut.end, 0)
        ctx.set(dut.credit, 0)
        assert ctx.get(dut.at_work)
        await write(ctx, dut, Register.COMMAND, STOP)
        assert ctx.get(dut.stop) and not ctx.get(dut.at_work)
        await ctx.tick()
        assert not ctx.get(dut.stop)
        await ctx.tick().repeat(12)
        after = {register.name: ctx.get(register) for register in registers}
        changed = {name for name in before if before[name] != after[name]} - kept
        assert not changed
        assert not ctx.get(dut.at_work) and ctx.get(dut.waiting)
        # And it runs anew.
        n_before = len(blocks.commands)
        await run(ctx)
        await ctx.tick().repeat(40)
        names = blocks.names()[n_before:]
        assert names[:4] == ["clear_all", "grant", "update_pass", "grant"]
        assert names.count("fire") == 2

    simulate(fragment, [drive], limit=600, background=[blocks])


# ---- Counters


def test_counters_count_and_clear(rng):
    dut = Control(params=TINY)

    async def drive(ctx):
        for _ in range(2):
            await write(ctx, dut, Register.COMMAND, CLEAR)
            total, sops = dict.fromkeys(EVENTS, 0), 0
            for _ in range(100):
                for register, (port, most) in EVENTS.items():
                    amount = int(rng.integers(most + 1))
                    ctx.set(getattr(dut, port), amount)
                    total[register] += amount
                lanes = int(rng.integers(TINY.lanes))
                ctx.set(dut.op_lanes, lanes)
                sops += (lanes + 1) * ctx.get(dut.op_valid)
                await ctx.tick()
            for port, _ in EVENTS.values():
                ctx.set(getattr(dut, port), 0)
            await ctx.tick()  # spikes are counted a cycle late
            for register, value in total.items():
                assert await read(ctx, dut, register) == value, register.name
            assert await read(ctx, dut, Register.SOPS_LOW) == sops
            assert await read(ctx, dut, Register.SOPS_HIGH) == 0
        await write(ctx, dut, Register.COMMAND, CLEAR)
        for register in range(Register.SOPS_LOW, Register.ERRORS):
            assert await read(ctx, dut, register) == 0

    simulate(dut, [drive], limit=400)


def test_cycles_of_updates_and_firing_are_counted_and_clearing_is_not():
    dut = Control(params=TINY)
    blocks = Blocks(dut, busy=lambda _: 7)

    async def drive(ctx):
        await configure(ctx, dut, 1, 1)
        await write(ctx, dut, Register.COMMAND, START)
        for _ in range(3):
            await ctx.tick().repeat(30)
            await pulse(ctx, dut.end)
            await pulse(ctx, dut.credit)
        await ctx.tick().repeat(60)
        assert blocks.names().count("update_pass") == 3
        assert await read(ctx, dut, Register.SAMPLES) == 3
        assert await read(ctx, dut, Register.UPDATE_CYCLES) == 3 * 7
        assert await read(ctx, dut, Register.FIRE_CYCLES) == 3 * 7

    simulate(dut, [drive], limit=600, background=[blocks])


def test_overflow_sticks_until_the_counters_are_cleared():
    dut = Control(params=TINY)

    async def drive(ctx):
        assert await read(ctx, dut, Register.FLAGS) == 0
        await pulse(ctx, dut.overflow)
        await ctx.tick().repeat(10)
        flags = FORMATS.flags.unpack(await read(ctx, dut, Register.FLAGS))
        assert flags == {"overflow": 1, "running": 0}
        await write(ctx, dut, Register.COMMAND, CLEAR)
        assert await read(ctx, dut, Register.FLAGS) == 0

    simulate(dut, [drive], limit=60)


def test_counters_wrap():
    dut = Control(params=TINY)
    fragment, registers = elaborated(dut)
    (sops,) = (register for register in registers if len(register) == SOP_WIDTH)
    (fired,) = (register for register in registers if register.name == "fired")

    async def drive(ctx):
        ctx.set(sops, (1 << CHUNK_WIDTH) - 2)
        ctx.set(dut.op_lanes, 3)
        await pulse(ctx, dut.op_valid)
        assert await read(ctx, dut, Register.SOPS_LOW) == 2
        assert await read(ctx, dut, Register.SOPS_HIGH) == 1
        ctx.set(sops, (1 << SOP_WIDTH) - 1)
        assert await read(ctx, dut, Register.SOPS_HIGH) == 0xFFFF
        await pulse(ctx, dut.op_valid)
        assert await read(ctx, dut, Register.SOPS_LOW) == 3
        assert await read(ctx, dut, Register.SOPS_HIGH) == 0
        ctx.set(fired, (1 << CHUNK_WIDTH) - 2)
        await pulse(ctx, dut.fired)
        ctx.set(dut.fired, 4)
        await ctx.tick()
        ctx.set(dut.fired, 0)
        assert await read(ctx, dut, Register.FIRED) == 3

    simulate(fragment, [drive], limit=60)


@pytest.mark.medium
@pytest.mark.parametrize("preset", PRESETS)
def test_control_converts(preset):
    rtlil.convert(Control(params=get_preset(preset)), emit_src=False)
