# SPDX-License-Identifier: Apache-2.0
"""Requantization: potentials at accumulator scale to activations of a few bits."""

from amaranth import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect

from stemcore.golden.spec.fields import Formats, Memory
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.timing import REQUANTIZE_LATENCY
from stemcore.golden.spec.widths import ACTIVATION_WIDTH, CHUNK_WIDTH, PRODUCT_WIDTH

from ..layouts import ConfigBus, struct
from .memory import ConfigMemory
from .rounding_shift import RoundingShift

# What one 18 x 18 signed multiplier takes as an unsigned factor.
_LOW_WIDTH = 17

# The rounding shift, coarse steps first: (bits of the shift, width kept). The width is what later
# steps may still shift out, on top of 9 bits that hold every value that is not clamped.
_SHIFT_STEPS = ((4, 6, 24), (3, 4, 16), (2, 3, 12), (1, 2, 10))
_LAST_WIDTH = 9


def constants_layout(params: ChipParams) -> data.ArrayLayout:
    """A word of the memory REQUANT, lane by lane."""
    return data.ArrayLayout(struct(Formats(params).requant_lane), params.soma_lanes)


def _wrap(value):
    return value[:PRODUCT_WIDTH].as_signed()


class Requantize(wiring.Component):
    """Turns a group of potentials into activations, a group a cycle, without stalls.

    Per lane, as ``stemcore.golden.arithmetic.fixed.requantize``::

        P = multiplier * z + (bias << 8*bias_shift)            wraps to 48 signed bits
        y = round_half_even(P / 2**shift)                      shift 0 to 47
        q = clamp(y, 0, 2**bits - 1), or clamp(y, -(2**(bits-1)-1), 2**(bits-1)-1) if is_signed
        q = lookup[q mod 2**bits] if use_lookup
        q = (P >> shift) mod 2**8 instead, if is_raw           use_lookup must be 0 then

    Without ``params.multipliers`` the multiplier counts as one.

    Every stage works only in cycles in which a group passes it.

    Parameters
    ----------
    params : ChipParams

    Attributes
    ----------
    latency : int
        Cycles from ``z_valid`` to ``q_valid``.

    Members
    -------
    config : ``In(ConfigBus())``
        Writes the table LOOKUP.
    read_chunk : ``Out(32)``
        Its answer.
    mode : ``In``
        Fields ``mode``; constant from the cycle before a group enters until it has left.
    z_valid, z, constants : ``In``
        A group of potentials, and its word of REQUANT. Registers should drive them.
    q_valid, q : ``Out``
        Its activations, two's complement if signed.
    """

    def __init__(self, params: ChipParams):
        self._params = params
        self.latency = REQUANTIZE_LATENCY[params.multipliers]
        super().__init__(
            {
                "config": In(ConfigBus()),
                "read_chunk": Out(CHUNK_WIDTH),
                "mode": In(struct(Formats(params).mode)),
                "z_valid": In(1),
                "z": In(data.ArrayLayout(signed(params.acc_width), params.soma_lanes)),
                "constants": In(constants_layout(params)),
                "q_valid": Out(1),
                "q": Out(data.ArrayLayout(ACTIVATION_WIDTH, params.soma_lanes)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        valid = [self.z_valid]
        for stage in range(self.latency):
            valid.append(Signal(name=f"valid_{stage + 1}"))
            m.d.sync += valid[-1].eq(valid[-2])
        m.d.comb += self.q_valid.eq(valid[-1])

        # Largest activation, a mask of ones; the smallest; and the bits that address the table.
        mode = self.mode
        ones = Cat(mode.bits > i for i in range(ACTIVATION_WIDTH))
        largest, smallest, index_mask = (
            Signal(ACTIVATION_WIDTH, name=name, reset_less=True)
            for name in ("largest", "smallest", "index_mask")
        )
        m.d.sync += [
            index_mask.eq(ones),
            largest.eq(Mux(mode.is_signed, ones >> 1, ones)),
            smallest.eq(Mux(mode.is_signed, ~(ones >> 1) | 1, 0)),
        ]

        for lane in range(self._params.soma_lanes):
            m.submodules[f"lookup_{lane}"] = lookup = ConfigMemory(
                params=self._params, memory=Memory.LOOKUP, registered=True
            )
            connect(m, wiring.flipped(self.config), lookup.config)
            if lane == 0:
                m.d.comb += self.read_chunk.eq(lookup.read_chunk)
            self._lane(m, lane, valid, largest, smallest, index_mask, lookup)
        return m

    def _lane(self, m, lane, valid, largest, smallest, index_mask, lookup):
        stages = iter(valid)

        def stage():
            return m.If(next(stages))

        z = self.z[lane]
        constants = self.constants[lane]
        shift = constants.shift
        if self._params.multipliers:
            # Registers on both sides of the multipliers, which are their own on FPGAs: from a block
            # memory to a product is too far for a cycle.
            with stage():
                z = self._register(m, z, f"factor_z_{lane}")
                multiplier = self._register(m, constants.multiplier, f"factor_multiplier_{lane}")
                bias = self._register(m, constants.bias, f"factor_bias_{lane}")
                shift = self._register(m, shift, f"factor_shift_{lane}")
            with stage():
                terms = self._multiply(m, lane, z, multiplier)
                terms.append(self._register(m, self._shift_bias(bias), f"product_bias_{lane}"))
                shift = self._register(m, shift, f"product_shift_{lane}")
        else:
            terms = [z, self._shift_bias(constants.bias)]

        with stage():
            total = self._register(m, _wrap(sum(terms)), f"total_{lane}")
            shift = self._register(m, shift, f"total_shift_{lane}")

        y = RoundingShift(total, Const(0), Const(0), Const(0), total[-1])
        for low, high, width in _SHIFT_STEPS:
            name = f"shift{low}_{lane}"
            step = y.by(m, shift[low:high], scale=1 << low, width=width, name=f"{name}_next")
            with stage():
                y = step.registered(m, name=name)
                shift = self._register(m, shift[:low], f"{name}_shift")

        # The limit is chosen by the sign of the product: what rounds to zero is not clamped.
        step = y.by(m, shift[:1], scale=1, width=_LAST_WIDTH, name=f"shift0_{lane}_next")
        with stage():
            up = step.guard & (step.sticky | step.value[0]) & ~self.mode.is_raw
            rounded = self._register(m, step.value + up, f"rounded_{lane}")
            is_out = step.over | (step.is_negative & ~self.mode.is_signed)
            is_out = self._register(m, is_out, f"rounded_is_out_{lane}")
            limit = Mux(step.is_negative, smallest, largest)
            limit = self._register(m, limit, f"rounded_limit_{lane}")

        with stage():
            is_out = is_out | self._is_out(rounded, largest)
            q = Mux(is_out & ~self.mode.is_raw, limit, rounded[:ACTIVATION_WIDTH])
            clamped = self._register(m, q, f"clamped_{lane}")

        table_valid = next(stages)
        m.d.comb += [
            lookup.address.eq(clamped & index_mask),
            lookup.enable.eq(table_valid & self.mode.use_lookup),
        ]
        with m.If(table_valid):
            plain = self._register(m, clamped, f"plain_{lane}")
        with stage():
            plain = self._register(m, plain, f"late_plain_{lane}")
        with stage():
            m.d.sync += self.q[lane].eq(Mux(self.mode.use_lookup, lookup.data, plain))

    @staticmethod
    def _register(m, value, name):
        """``value`` one cycle later."""
        register = Signal(value.shape(), name=name, reset_less=True)
        m.d.sync += register.eq(value)
        return register

    def _multiply(self, m, lane, z, multiplier):
        """Products that add up to ``multiplier * z``, one per hardware multiplier."""
        factor = Cat(multiplier, Const(0, 1)).as_signed()
        parts = [(z, 0)]
        if len(z) > _LOW_WIDTH + 1:
            low = Cat(z[:_LOW_WIDTH], Const(0, 1)).as_signed()
            parts = [(low, 0), (z[_LOW_WIDTH:].as_signed(), _LOW_WIDTH)]
        terms = []
        for part, position in parts:
            product = self._register(m, part * factor, f"product{position}_{lane}")
            terms.append(product << position)
        return terms

    def _shift_bias(self, bias):
        bias = bias.as_signed()
        coarse = _wrap(Mux(self.mode.bias_shift[1], bias << 16, bias))
        return _wrap(Mux(self.mode.bias_shift[0], coarse << 8, coarse))

    @staticmethod
    def _is_out(y, largest):
        """Does ``y`` lie outside ``-largest .. largest``? ``largest`` is a mask of ones."""
        magnitude, above = y[:-1], ~Cat(largest, Const(0, len(y) - 1 - len(largest)))
        # One below the smallest, all bits above the mask are set and none within.
        too_low = (~magnitude & above).any() | ~(magnitude & largest).any()
        return Mux(y[-1], too_low, (magnitude & above).any())
