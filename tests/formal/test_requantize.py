# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs that requantization is its integer formula, at full width; twins must be refuted.

In two steps, since no solver knows products of this width: ``ProductsAreOfHalves`` shows that the
hardware's partial products are the multiplier times the halves of the potential, and that these are
the potential, ``z = l + 2**17 h``; so ``m l + 2**17 (m h)`` is ``m z``, as multiplication is
distributive. ``IsTheFormula`` shows all that follows, bit by bit, for any partial products.
"""

import pytest
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring

from stemcore.golden.spec.presets import get_preset
from stemcore.golden.spec.widths import PRODUCT_WIDTH
from stemcore.hdl.core import requantize, rounding_shift
from stemcore.hdl.core.memory import ConfigMemory
from tests.support.formal import implies, inner_signal, planted, prove, refute

pytestmark = pytest.mark.sim

LOW = 17  # bits of the lower half of a potential
PRODUCT_LATENCY = 2  # cycles from a potential to its partial products


class Inverts(ConfigMemory):
    """In the place of the activation table: every value is replaced by its bits inverted."""

    def elaborate(self, platform):
        m = Module()
        fetched, word = Signal(), Signal.like(self.data)
        m.d.sync += fetched.eq(self.enable)
        with m.If(self.enable):
            m.d.sync += word.eq(~self.address)
        with m.If(fetched):
            m.d.sync += self.data.eq(word)
        return m


def requantized(m, product, shift, mode):
    """The formula: ``round_half_even(P / 2**shift)``, clamped, or a byte of P."""
    floor, rest = Signal(signed(PRODUCT_WIDTH)), Signal(PRODUCT_WIDTH)
    half = Signal(PRODUCT_WIDTH)
    y = Signal(signed(PRODUCT_WIDTH + 1))
    largest, smallest = Signal(signed(10)), Signal(signed(10))
    m.d.comb += [
        floor.eq(product >> shift),
        rest.eq(product & ((1 << shift) - 1)),
        half.eq((1 << shift) >> 1),
        y.eq(floor + ((rest > half) | ((rest == half) & floor[0] & (shift != 0)))),
        largest.eq((1 << (mode.bits - mode.is_signed)[:4]) - 1),
        smallest.eq(Mux(mode.is_signed, -largest, 0)),
    ]
    clamped = Mux(y > largest, largest, Mux(y < smallest, smallest, y))
    mask = ((1 << mode.bits) - 1)[:8]
    looked_up = ~(clamped[:8] & mask)
    return Mux(mode.is_raw, floor[:8], Mux(mode.use_lookup, looked_up, clamped[:8]))[:8]


def later(m, values, cycles):
    """Values of ``cycles`` cycles ago."""
    for _ in range(cycles):
        late = [Signal(value.shape()) for value in values]
        m.d.sync += [a.eq(b) for a, b in zip(late, values, strict=True)]
        values = late
    return values


class IsTheFormula(wiring.Component):
    """Every activation is ``clamp(round_half_even((m z + (b << sb)) / 2**s))``, bit by bit.

    For every potential of 24 bits, bias of 32, shift of 0 to 47 and mode, raw ones and activation
    tables too, among any other groups before and after. With ``multipliers``, for any values of the
    two partial products of 35 and 24 bits that make up ``m z``.
    """

    def __init__(self, *, multipliers, faults=(), shift_faults=()):
        params = get_preset("tiny").with_(soma_lanes=1, multipliers=multipliers)
        cut = ("part * factor,", "AnySeq(len(part * factor)).as_signed(),")
        module = planted(requantize, cut, *faults)
        module.AnySeq = AnySeq
        module.RoundingShift = planted(rounding_shift, *shift_faults).RoundingShift
        module.ConfigMemory = Inverts
        self._multipliers = multipliers
        self._block = module.Requantize(params)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        block = self._block
        m.submodules.block = inner = block.elaborate(platform)
        mode, z, constants = block.mode, block.z[0], block.constants[0]
        chosen = Value.cast(mode)
        m.d.comb += chosen.eq(AnyConst(len(chosen)))
        for value in (block.z_valid, block.z, block.constants):
            value = Value.cast(value)
            m.d.comb += value.eq(AnySeq(len(value)))
        m.d.comb += [
            Assume((mode.bits >= 2) & (mode.bits <= 8)),
            Assume(implies(mode.is_raw, ~mode.use_lookup & ~mode.is_signed & (mode.bits == 8))),
            Assume(constants.shift <= PRODUCT_WIDTH - 1),
        ]
        # The registers of a mode follow it by a cycle.
        started = Signal()
        m.d.sync += started.eq(1)
        m.d.comb += Assume(implies(block.z_valid, started))
        latency, valid = block.latency, block.z_valid
        bias, shift, product = constants.bias.as_signed(), constants.shift, z
        if self._multipliers:
            parts = [inner_signal(inner, f"product{position}_0") for position in (0, LOW)]
            product = (parts[0] + (parts[1] << LOW))[:PRODUCT_WIDTH].as_signed()
            valid, bias, shift = later(m, (valid, bias, shift), PRODUCT_LATENCY)
            latency -= PRODUCT_LATENCY
        total = (product + (bias << (mode.bias_shift << 3)))[:PRODUCT_WIDTH].as_signed()
        valid, total, shift = later(m, (valid, total, shift), latency)
        m.d.comb += [
            Assert(block.q_valid == valid),
            Assert(implies(valid, block.q[0] == requantized(m, total, shift, mode))),
        ]
        return m


@pytest.mark.parametrize("multipliers", [False, True])
def test_requantization_is_the_formula(multipliers):
    sizes = "full width: 24 bits of potential, 48 of product, one lane"
    component = IsTheFormula(multipliers=multipliers)
    name = f"requantize_{'multipliers' if multipliers else 'lean'}"
    prove(component, name, depth=component._block.latency + 2, sizes=sizes)


FAULTS = {
    "ties go up": {"faults": [("(step.sticky | step.value[0])", "1")]},
    "what was shifted out before is forgotten": {
        "shift_faults": [("self.sticky | self.guard | value", "self.guard | value")]
    },
    "a kept bit too few": {"faults": [("(2, 3, 12), (1, 2, 10))", "(2, 3, 12), (1, 2, 9))")]},
    "the smallest is one less": {"faults": [("~(ones >> 1) | 1, 0)", "~(ones >> 1), 0)")]},
    "negative values pass": {
        "faults": [("step.over | (step.is_negative & ~self.mode.is_signed)", "step.over")]
    },
    "raw values are rounded": {
        "faults": [
            ("(step.sticky | step.value[0]) & ~self.mode.is_raw", "(step.sticky | step.value[0])")
        ]
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_requantization_are_found(fault):
    component = IsTheFormula(multipliers=False, **FAULTS[fault])
    name = f"requantize_lean_{fault.replace(' ', '_')}"
    refute(component, name, depth=component._block.latency + 2)


class ProductsAreOfHalves(wiring.Component):
    """The partial products are the multiplier times the lower and the upper part of a potential.

    And the parts are the potential: ``z = l + 2**17 h`` with l of 17 bits without sign.
    """

    def __init__(self, *faults):
        params = get_preset("tiny").with_(soma_lanes=1)
        self._block = planted(requantize, *faults).Requantize(params)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        block = self._block
        m.submodules.block = inner = block.elaborate(platform)
        for value in (block.z_valid, block.z, block.constants):
            value = Value.cast(value)
            m.d.comb += value.eq(AnySeq(len(value)))
        came, z, multiplier = later(
            m, (block.z_valid, block.z[0], block.constants[0].multiplier), 1
        )
        # From the registers of the factors on: with what enables these, the solver does not see
        # that two products are the same.
        factors = [inner_signal(inner, f"factor_{name}_0") for name in ("z", "multiplier")]
        m.d.comb += Assert(implies(came, (factors[0] == z) & (factors[1] == multiplier)))
        came, z, multiplier = later(m, (came, *factors), 1)
        # As wide as the hardware's, since the solver knows no other equality of products.
        factor = Cat(multiplier, Const(0, 1)).as_signed()
        low, high = Cat(z[:LOW], Const(0, 1)).as_signed(), z[LOW:].as_signed()
        parts = [inner_signal(inner, f"product{position}_0") for position in (0, LOW)]
        m.d.comb += [
            Assert((high << LOW) + low == z),
            Assert(implies(came, parts[0] == low * factor)),
            Assert(implies(came, parts[1] == high * factor)),
        ]
        return m


def test_products_are_of_halves():
    prove(ProductsAreOfHalves(), "products", depth=4, sizes="full width: 24 by 16 bits")


def test_a_fault_of_the_halves_of_a_product_is_found():
    change = ("Cat(z[:_LOW_WIDTH], Const(0, 1)).as_signed()", "z[:_LOW_WIDTH].as_signed()")
    refute(ProductsAreOfHalves(change), "products_a_signed_low_half", depth=4)
