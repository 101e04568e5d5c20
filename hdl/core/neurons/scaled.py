# SPDX-License-Identifier: Apache-2.0
"""Scaled integration: every sum is scaled down by k1 before it is added."""

from amaranth import Cat, Const, Signal, signed

from stemcore.golden.spec.widths import STEP_WIDTH

from ..potential_update import PotentialUpdate
from ..rounding_shift import RoundingShift
from ..soma import Soma
from ..soma_signature import SomaKind

# k1's rounding shift, coarse steps first: (bits of the shift, width kept). k1 I has 17 bits, on
# top of which lies what later steps may still shift out.
_SCALE_STEPS = ((3, 5, 24), (1, 3, 18), (0, 1, 17))


class ScaledUpdate(PotentialUpdate):
    """``golden/spec/neurons/scaled.py``::

        V' = sat16(2 V + round_half_even(multiplier I / 2**shift))

    Without ``params.multipliers`` the multiplier counts as one.
    """

    def doubles(self, m):
        """Always."""
        return Const(1)

    def term(self, m, lane, valid):
        """``round_half_even(k1 I)``, four cycles after ``i``, or six with a multiplier."""
        stages = iter(valid)
        value = self.i[lane]
        if self._params.multipliers:
            factor = Cat(self.constants.multiplier, Const(0, 1)).as_signed()
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
            amount = self.constants.shift[low:high]
            step = y.by(m, amount, scale=1 << low, width=width, name=f"{name}_next")
            with m.If(next(stages)):
                y = step.registered(m, name=name)
        rounded = Signal(signed(STEP_WIDTH + 1), name=f"rounded_{lane}", reset_less=True)
        with m.If(next(stages)):
            m.d.sync += rounded.eq(y.value + (y.guard & (y.sticky | y.value[0])))
        return rounded


SOMA = SomaKind("scaled", lambda params: Soma(params, update=ScaledUpdate))
