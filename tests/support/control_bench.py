# SPDX-License-Identifier: Apache-2.0
"""The rest of a core around ``control``: its bus, and blocks that obey commands."""

from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.registers import Control as Register

# Commands, and what tells that the block which carries them out is at work.
COMMANDS = {
    "clear_all": "soma_busy",
    "update_pass": "soma_busy",
    "grant": "granting",
    "fire": "fire_busy",
}


async def write(ctx, dut, register, value, memory=Memory.CONTROL):
    """One write over the bus; ends in the cycle after it, which shows address and data."""
    ctx.set(dut.config.memory, int(memory))
    ctx.set(dut.config.write, 1)
    is_command = memory == Memory.CONTROL and register == Register.COMMAND
    ctx.set(dut.config.commands.as_value(), value if is_command else 0)
    await ctx.tick()
    ctx.set(dut.config.address, int(register))
    ctx.set(dut.config.data, value)
    ctx.set(dut.config.write, 0)
    ctx.set(dut.config.commands.as_value(), 0)


async def read(ctx, dut, register):
    ctx.set(dut.config.memory, int(Memory.CONTROL))
    ctx.set(dut.config.read, 1)
    await ctx.tick()
    ctx.set(dut.config.address, int(register))
    ctx.set(dut.config.read, 0)
    await ctx.tick().repeat(3)
    return ctx.get(dut.read_chunk)


async def pulse(ctx, signal, n=1):
    for _ in range(n):
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)


class Blocks:
    """The other blocks: each command keeps one busy for some cycles. Writes down all commands.

    ``busy``: from a command's name to cycles.

    Attributes
    ----------
    commands : list of (cycle, name)
    cycle : int
    """

    def __init__(self, dut, busy=lambda _: 3):
        self.dut, self.busy = dut, busy
        self.commands = []
        self.cycle = 0

    def names(self):
        return [name for _, name in self.commands]

    async def drive(self, ctx):
        dut = self.dut
        left = dict.fromkeys(COMMANDS.values(), 0)
        ctx.set(dut.axon_idle, 1)
        ctx.set(dut.dendrite_idle, 1)
        while True:
            _, _, *given = await ctx.tick().sample(*(getattr(dut, name) for name in COMMANDS))
            now = [name for name, high in zip(COMMANDS, given, strict=True) if high]
            for name in now:
                block = COMMANDS[name]
                assert not left[block], f"cycle {self.cycle}: {name} while {block}"
                self.commands.append((self.cycle, name))
                left[block] = self.busy(name) + 1
            for block in left:
                left[block] = max(0, left[block] - 1)
                ctx.set(getattr(dut, block), left[block] > 0)
            self.cycle += 1


READ = 3  # place of config.read among what Stillness looks at


class Stillness:
    """Holds ``waiting`` to its promise: no register changes before a token or a command.

    Attributes
    ----------
    n_waits, n_changes : int
        Cycles in which nothing had to change, and cycles in which something did.
    """

    def __init__(self):
        self.n_waits = self.n_changes = 0

    def watch(self, dut, registers):
        """The testbench that looks at ``registers``, those of ``dut``, in every cycle."""
        inputs = (
            dut.end,
            dut.credit,
            dut.config.write,
            dut.config.read,
            dut.soma_busy,
            dut.granting,
            dut.fire_busy,
        )

        async def bench(ctx):
            before, still, reads = None, False, (False, False, False)
            while True:
                _, _, waiting, *values = await ctx.tick().sample(dut.waiting, *inputs, *registers)
                moved, state = any(values[: len(inputs)]), values[len(inputs) :]
                if still:
                    assert state == before, "a register changed while waiting was high"
                    self.n_waits += 1
                elif before is not None:
                    self.n_changes += state != before
                # A read takes four cycles; the core is at work until the answer has left.
                before, still = state, waiting and not moved and not any(reads)
                reads = (bool(values[READ]), *reads[:2])

        return bench


async def send_tokens(ctx, blocks, rng, sources, destinations, *, early, end_rate, credit_rate):
    """Tokens at random times, as the protocol permits them, until all have been used.

    A source that holds a grant sends one END; a destination one CREDIT for each END. Ends with
    the core waiting for more.

    sources, destinations : (int, int)
        How many there are, and how often each sends: END, or CREDIT.
    early : int
        CREDITs sent before.
    end_rate, credit_rate : float
        Chance of a token in a cycle in which one is due.
    """
    dut, ends, credits = blocks.dut, 0, early
    (n_sources, n_in), (n_destinations, n_out) = sources, destinations
    n_grants = n_fires = 0
    while n_grants < n_in + 1 or n_fires < n_out:
        names = blocks.names()
        n_grants, n_fires = names.count("grant"), names.count("fire")
        end = ends < n_sources * min(n_grants, n_in) and rng.random() < end_rate
        due = n_destinations * min(n_fires + 1, n_out)
        credit = credits < due and rng.random() < credit_rate
        ctx.set(dut.end, end)
        ctx.set(dut.credit, credit)
        ends, credits = ends + end, credits + credit
        await ctx.tick()
    ctx.set(dut.end, 0)
    ctx.set(dut.credit, 0)
    await ctx.tick().repeat(40)
    assert ctx.get(dut.waiting)


async def configure(ctx, dut, n_sources, n_destinations):
    await write(ctx, dut, Register.N_SOURCES, n_sources)
    await write(ctx, dut, Register.N_DESTINATIONS, n_destinations)


async def until(ctx, condition, limit=200):
    for _ in range(limit):
        if condition():
            return
        await ctx.tick()
    raise AssertionError(f"must come true within {limit} cycles")
