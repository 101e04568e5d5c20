# SPDX-License-Identifier: Apache-2.0
"""Which spikes an axon may get: those of the population that it listens to."""

from amaranth import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.registers import RANGES
from stemcore.golden.spec.spike_range import MARGINS, limit_of

from ..layouts import ConfigBus, struct


class Ranges(wiring.Component):
    """Tells whether a spike lies within the range of its axon; combinational.

    The range of an axon is written to its word of CONTROL, from ``registers.RANGES`` on, and cannot
    be read. It holds margins (``golden.spec.spike_range``), so that one adder with a gap between
    the coordinates compares all of them, and zero, the value before any write, permits every spike.

    Members
    -------
    config : ``In(ConfigBus())``
    spike : ``In(spike)``
    inside : ``Out(1)``
    """

    def __init__(self, *, params: ChipParams):
        self._params = params
        self._formats = Formats(params)
        super().__init__(
            {
                "config": In(ConfigBus()),
                "spike": In(struct(self._formats.spike)),
                "inside": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layout = struct(self._formats.range)
        m.submodules.ram = ram = RAM(
            shape=self._formats.range.width, depth=1 << self._params.axon_width, init=[]
        )
        write, read = ram.write_port(), ram.read_port(domain="comb")
        first = RANGES.bit_length() - 1  # the ranges fill the words that have this bit set
        written = Signal()
        m.d.sync += written.eq(self.config.write & (self.config.memory == Memory.CONTROL.value))
        m.d.comb += [
            write.addr.eq(self.config.address),
            write.data.eq(self.config.data),
            write.en.eq(written & self.config.address[first]),
            read.addr.eq(self.spike.axon),
        ]
        margins = layout(read.data)
        spikes, limits, gaps, position = [], [], [], 0
        for name in MARGINS:
            limit = limit_of(self._params, name)
            field = self.spike[name][limit.dropped :]
            spikes += [field, Const(0, 1)]
            limits += [margins[name], Const(0, len(field) + 1 - len(margins[name]))]
            gaps.append((position + limit.width, position + len(field) + 1))
            position += len(field) + 1
        total = Signal(position)
        m.d.comb += [
            total.eq(Cat(spikes) + Cat(limits)),
            self.inside.eq(~Cat(total[low:high] for low, high in gaps).any()),
        ]
        return m
