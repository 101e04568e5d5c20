# SPDX-License-Identifier: Apache-2.0
"""Applies operations: adds shifted words of weights to words of membrane potentials."""

from amaranth import C, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH, WEIGHT_WIDTH

from ..layouts import ConfigBus, operation
from ..platforms import PROCESSOR
from .accumulate import GROUP, AccumulateLoop
from .memory import ConfigMemory
from .soma_signature import AccumulatorPort

FINE_WIDTH = 2  # bits of the shift that the first of its two stages takes


class ShiftLanes(wiring.Component):
    """Negated and shifted weights of some lanes, in two steps, with an own copy of the controls.

    A register comes first: the memory of the weights may lie far away.

    Parameters
    ----------
    shift_width, n_lanes : int
        Bits of the shift (more than ``FINE_WIDTH``), and weights.

    Members
    -------
    valid, shift, negate : ``In``
        An operation enters.
    weight : ``In``
        Two cycles later: one signed weight a lane, not -128.
    shifted : ``Out``
        Four cycles later: ``(-weight if negate else weight) << shift``, until the next.
        Combinational from registers.
    """

    def __init__(self, *, shift_width: int, n_lanes: int):
        self._shift_width, self._n_lanes = shift_width, n_lanes
        self._width = WEIGHT_WIDTH + (1 << shift_width) - 1
        super().__init__(
            {
                "valid": In(1),
                "shift": In(shift_width),
                "negate": In(1),
                "weight": In(data.ArrayLayout(signed(WEIGHT_WIDTH), n_lanes)),
                "shifted": Out(data.ArrayLayout(signed(self._width), n_lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # An operation three cycles ago is in the stage of its fine shift.
        valid, shift, negate = [self.valid], [self.shift], [self.negate]
        for stage in range(1, 4):
            valid.append(Signal(name=f"valid_{stage}"))
            shift.append(Signal(self._shift_width, name=f"shift_{stage}", reset_less=True))
            negate.append(Signal(name=f"negate_{stage}", reset_less=True))
            m.d.sync += valid[stage].eq(valid[stage - 1])
            with m.If(valid[stage - 1]):
                m.d.sync += [
                    shift[stage].eq(shift[stage - 1]),
                    negate[stage].eq(negate[stage - 1]),
                ]
        # A processor shifts in one step as fast as in each of two.
        fine_width = 0 if platform == PROCESSOR else FINE_WIDTH
        coarse_shift = Signal(self._shift_width - fine_width, reset_less=True)
        with m.If(valid[3]):
            m.d.sync += coarse_shift.eq(shift[3][fine_width:])
        for i in range(self._n_lanes):
            fine = Signal(
                signed(WEIGHT_WIDTH + (1 << fine_width) - 1), name=f"fine_{i}", reset_less=True
            )
            weight, addend = (
                Signal(signed(WEIGHT_WIDTH), name=f"{name}_{i}", reset_less=True)
                for name in ("weight", "addend")
            )
            with m.If(valid[2]):
                m.d.sync += weight.eq(self.weight[i])
            m.d.comb += [
                addend.eq(Mux(negate[3], -weight, weight)),
                self.shifted[i].eq(fine << Cat(C(0, fine_width), coarse_shift)),
            ]
            with m.If(valid[3]):
                m.d.sync += fine.eq(addend << shift[3][:fine_width])
        return m


class Dendrite(wiring.Component):
    """Weights and membrane potentials of a core; ``v += (-w if negate else w) << shift``.

    One operation a cycle, never stalls; every operation sees all before it. Contract: "Operation"
    in ``hdl/README.md``. An operation reads its weights in the cycle it enters;
    ``timing.OVERFLOW_CYCLES`` later it has been added and written, and tells its overflow.

    Parameters
    ----------
    params : ChipParams

    Members
    -------
    config, read_chunk : ``In(ConfigBus())``, ``Out(32)``
        Configuration of the memory WEIGHT.
    op, op_valid : ``In(operation(params))``, ``In(1)``
        An operation enters.
    idle : ``Out(1)``
        Every operation that entered before this cycle has been written.
    overflow : ``Out(1)``
        Pulse: an operation left the range of a membrane potential, which was wrapped.
    accumulators : ``In(AccumulatorPort(params))``
        Reads and zeroes words; only while idle. A word is there exactly three cycles after
        ``read``, until two cycles after the next read or operation; a read two or more cycles after
        its clearing sees zero.
    """

    def __init__(self, params: ChipParams):
        if params.shift_width <= FINE_WIDTH:
            raise ValueError(
                f"Dendrite: shift_width must be more than {FINE_WIDTH}, got {params.shift_width}"
            )
        self._params = params
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "op": In(operation(params)),
                "op_valid": In(1),
                "idle": Out(1),
                "overflow": Out(1),
                "accumulators": In(AccumulatorPort(params)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        p = self._params
        m.submodules.weights = weights = ConfigMemory(
            params=p, memory=Memory.WEIGHT, registered=True
        )
        m.submodules.loop = loop = AccumulateLoop(
            n_words=p.n_acc_words, n_lanes=p.lanes, width=p.acc_width
        )
        wiring.connect(m, bus=wiring.flipped(self.config), memory=weights.config)
        m.d.comb += [
            self.read_chunk.eq(weights.read_chunk),
            weights.address.eq(self.op.weight),
            weights.enable.eq(self.op_valid),
            loop.valid.eq(self.op_valid),
            loop.address.eq(self.op.acc),
            self.idle.eq(loop.idle),
            loop.update_read.eq(self.accumulators.read),
            loop.update_address.eq(self.accumulators.address),
            self.accumulators.data.eq(loop.update_data),
            loop.clear.eq(self.accumulators.clear),
            loop.clear_address.eq(self.accumulators.clear_address),
        ]

        misfits = []
        for first in range(0, p.lanes, GROUP):
            n_lanes = min(GROUP, p.lanes - first)
            lanes = ShiftLanes(shift_width=p.shift_width, n_lanes=n_lanes)
            m.submodules[f"lanes_{first}"] = lanes
            m.d.comb += [
                lanes.valid.eq(self.op_valid),
                lanes.shift.eq(self.op.shift),
                lanes.negate.eq(self.op.negate),
                lanes.weight.eq(
                    weights.data[first * WEIGHT_WIDTH : (first + n_lanes) * WEIGHT_WIDTH]
                ),
            ]
            for i in range(n_lanes):
                shifted = lanes.shifted[i]
                m.d.comb += loop.addend[first + i].eq(shifted)
                if shifted.shape().width > p.acc_width:
                    misfits.append(shifted != shifted[: p.acc_width].as_signed())
        if not misfits:
            m.d.comb += self.overflow.eq(loop.overflow)
        else:
            # Shifted in cycle 4, shown in cycle 7 together with the loop's overflow.
            valid = Signal(4)
            misfit = Signal(3)
            m.d.sync += [
                valid.eq(Cat(self.op_valid, valid)),
                misfit.eq(Cat(valid[-1] & Cat(misfits).any(), misfit)),
            ]
            m.d.comb += self.overflow.eq(loop.overflow | misfit[-1])
        return m
