# SPDX-License-Identifier: Apache-2.0
"""Integration per time step: membrane potentials, and their update by the sums of a step."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory as RAM
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import STEP_WIDTH, ChipParams

from ..layouts import struct
from .rounding_shift import RoundingShift

# k1's rounding shift, coarse steps first: (bits of the shift, width kept). k1 I has 17 bits, on
# top of which lies what later steps may still shift out.
_SCALE_STEPS = ((3, 5, 24), (1, 3, 18), (0, 1, 17))


def group_layout(params: ChipParams) -> data.ArrayLayout:
    """Sums or potentials of ``soma_lanes`` lanes."""
    return data.ArrayLayout(signed(STEP_WIDTH), params.soma_lanes)


def update_latency(params: ChipParams) -> int:
    """Cycles that a group spends in :class:`Integrate`; 0 where integration is exact."""
    if params.integration == "late":
        return 4
    if params.integration == "scaled":
        return 8 if params.multipliers else 6
    return 0


class Integrate(wiring.Component):
    """Updates potentials at the end of a time step, a group a cycle, without stalls; keeps them.

    Per lane, as ``stemcore.golden.arithmetic.step_integration.update``, with ``V = 0`` in step 0::

        V' = sat16(2 V + round_half_even(multiplier I / 2**shift))           scaled
        V' = sat16((2 V if t <= steps-1-shift else V) + (I >> max(0, t-(steps-1-shift))))   late

    Without ``params.multipliers`` the multiplier counts as one. The group at an address may come
    again, but no earlier than ``latency`` cycles after it was stored.

    Parameters
    ----------
    params : ChipParams
        Of a form with ``is_stepped``.

    Attributes
    ----------
    latency : int
        Cycles from ``i_valid`` to ``o_valid``.

    Members
    -------
    integration : ``In``
        Fields ``integration``; ``shift`` at most 15 in the late form.
    step : ``In(4)``
        t. Both constant from two cycles before a group enters until the last one has left.
    i_valid, i : ``In``
        Sums of a group. Registers should drive them.
    address : ``In``
        Which group, with ``i_valid``.
    store : ``In(1)``
        With ``i_valid``: the potentials are kept; else they are only given out.
    o_valid, o : ``Out``
        Potentials after the update, from registers.
    """

    def __init__(self, params: ChipParams):
        self._params = params
        self._depth = params.n_acc_words * params.n_groups
        self.latency = update_latency(params)
        super().__init__(
            {
                "integration": In(struct(Formats(params).integration)),
                "step": In(4),
                "i_valid": In(1),
                "i": In(group_layout(params)),
                "address": In(range(self._depth)),
                "store": In(1),
                "o_valid": Out(1),
                "o": Out(group_layout(params)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        latency = self.latency
        valid, store, address = [self.i_valid], [self.store], [self.address]
        for stage in range(1, latency + 1):
            valid.append(Signal(name=f"valid_{stage}"))
            store.append(Signal(name=f"store_{stage}", reset_less=True))
            address.append(Signal.like(self.address, name=f"address_{stage}", reset_less=True))
            m.d.sync += [
                valid[stage].eq(valid[stage - 1]),
                store[stage].eq(store[stage - 1]),
                address[stage].eq(address[stage - 1]),
            ]

        m.submodules.potentials = ram = RAM(
            shape=group_layout(self._params), depth=self._depth, init=[]
        )
        write, read = ram.write_port(), ram.read_port()
        # Read so late that the potentials need not travel along: the memory, a register, the sum.
        at = latency - 4
        v = Signal(group_layout(self._params), reset_less=True)
        m.d.comb += [
            read.addr.eq(address[at]),
            read.en.eq(valid[at]),
            write.addr.eq(address[latency]),
            write.data.eq(self.o),
            write.en.eq(valid[latency] & store[latency]),
            self.o_valid.eq(valid[latency]),
        ]
        with m.If(valid[at + 1]):
            m.d.sync += v.eq(read.data)

        is_first, doubles, shift = self._step_controls(m)
        for lane in range(self._params.soma_lanes):
            if self._params.integration == "late":
                term = self._shifted(m, lane, valid, shift)
            else:
                term = self._scaled(m, lane, valid)
            before = Mux(is_first, 0, Mux(doubles, v[lane] << 1, v[lane]))
            total = Signal(signed(STEP_WIDTH + 3), name=f"total_{lane}", reset_less=True)
            with m.If(valid[latency - 2]):
                m.d.sync += total.eq(before + term)
            with m.If(valid[latency - 1]):
                m.d.sync += self.o[lane].eq(self._saturate(total))
        return m

    def _step_controls(self, m):
        """What the step does to every group: from registers, a cycle behind the ports."""
        is_first = Signal(name="step_is_first", reset_less=True)
        m.d.sync += is_first.eq(self.step == 0)
        if self._params.integration != "late":
            return is_first, Const(1), None
        # How far this step lies beyond the last that doubles.
        beyond = Signal(signed(7))
        doubles = Signal(name="step_doubles", reset_less=True)
        shift = Signal(4, name="step_shift", reset_less=True)
        m.d.comb += beyond.eq(self.step + self.integration.shift + 1 - self.integration.steps)
        m.d.sync += [doubles.eq(beyond <= 0), shift.eq(Mux(beyond < 0, 0, beyond))]
        return is_first, doubles, shift

    def _shifted(self, m, lane, valid, shift):
        """``I >> shift``, two cycles after ``i``."""
        coarse, fine = (
            Signal(signed(STEP_WIDTH), name=f"{name}_{lane}", reset_less=True)
            for name in ("coarse", "fine")
        )
        with m.If(valid[0]):
            m.d.sync += coarse.eq(self.i[lane] >> Cat(Const(0, 2), shift[2:]))
        with m.If(valid[1]):
            m.d.sync += fine.eq(coarse >> shift[:2])
        return fine

    def _scaled(self, m, lane, valid):
        """``round_half_even(k1 I)``, four cycles after ``i``, or six with a multiplier."""
        stages = iter(valid)
        value = self.i[lane]
        if self._params.multipliers:
            factor = Cat(self.integration.multiplier, Const(0, 1)).as_signed()
            for name in ("product", "product_late"):
                product = Signal(signed(2 * STEP_WIDTH), name=f"{name}_{lane}", reset_less=True)
                with m.If(next(stages)):
                    m.d.sync += product.eq(value * factor if name == "product" else value)
                value = product
        wide = Signal(signed(2 * STEP_WIDTH), name=f"wide_{lane}")
        m.d.comb += wide.eq(value)
        y = RoundingShift(wide, Const(0), Const(0), Const(0), wide[-1])
        for low, high, width in _SCALE_STEPS:
            name = f"scale{low}_{lane}"
            amount = self.integration.shift[low:high]
            step = y.by(m, amount, scale=1 << low, width=width, name=f"{name}_next")
            with m.If(next(stages)):
                y = step.registered(m, name=name)
        rounded = Signal(signed(STEP_WIDTH + 1), name=f"rounded_{lane}", reset_less=True)
        with m.If(next(stages)):
            m.d.sync += rounded.eq(y.value + (y.guard & (y.sticky | y.value[0])))
        return rounded

    @staticmethod
    def _saturate(total):
        sign, outside = total[-1], total[STEP_WIDTH - 1 :]
        limit = Cat((~sign).replicate(STEP_WIDTH - 1), sign)
        return Mux(outside.any() & ~outside.all(), limit, total[:STEP_WIDTH]).as_signed()
