# SPDX-License-Identifier: Apache-2.0
"""The rest of a core around ``hdl.core.control``: its bus, and blocks that obey commands."""

from golden.fields import Control as Register
from golden.fields import Memory

COMMANDS = ("clear_all", "grant", "fire", "sweep")


async def write(ctx, dut, register, value, memory=Memory.CONTROL):
    """One write over the bus; ends in the cycle after it."""
    ctx.set(dut.config.memory, int(memory))
    ctx.set(dut.config.address, int(register))
    ctx.set(dut.config.data, value)
    ctx.set(dut.config.write, 1)
    await ctx.tick()
    ctx.set(dut.config.write, 0)


async def read(ctx, dut, register):
    ctx.set(dut.config.memory, int(Memory.CONTROL))
    ctx.set(dut.config.address, int(register))
    ctx.set(dut.config.read, 1)
    await ctx.tick()
    ctx.set(dut.config.read, 0)
    await ctx.tick()
    return ctx.get(dut.read_chunk)


async def pulse(ctx, signal, n=1):
    for _ in range(n):
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)


class Blocks:
    """The other blocks: each command keeps one busy for some cycles. Writes down all commands.

    Attributes
    ----------
    commands : list of (cycle, name)
    cycle : int
    """

    def __init__(self, dut, busy=lambda: 3):
        self.dut, self.busy = dut, busy
        self.commands = []
        self.cycle = 0

    def names(self):
        return [name for _, name in self.commands]

    async def drive(self, ctx):
        dut = self.dut
        soma, fire = 0, 0
        ctx.set(dut.axon_idle, 1)
        ctx.set(dut.dendrite_idle, 1)
        while True:
            _, _, *given = await ctx.tick().sample(*(getattr(dut, name) for name in COMMANDS))
            now = [name for name, high in zip(COMMANDS, given, strict=True) if high]
            assert len(now) <= 1, f"cycle {self.cycle}: one command at a time, got {now}"
            for name in now:
                is_soma = name in ("clear_all", "sweep")
                assert not (soma if is_soma else fire), f"cycle {self.cycle}: {name} while busy"
                self.commands.append((self.cycle, name))
                if is_soma:
                    soma = self.busy() + 1
                else:
                    fire = self.busy() + 1
            soma, fire = max(0, soma - 1), max(0, fire - 1)
            ctx.set(dut.soma_busy, soma > 0)
            ctx.set(dut.fire_busy, fire > 0)
            self.cycle += 1


async def configure(ctx, dut, n_sources, n_destinations):
    await write(ctx, dut, Register.N_SOURCES, n_sources)
    await write(ctx, dut, Register.N_DESTINATIONS, n_destinations)


async def until(ctx, condition, limit=200):
    for _ in range(limit):
        if condition():
            return
        await ctx.tick()
    raise AssertionError(f"must come true within {limit} cycles")
