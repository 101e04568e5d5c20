# SPDX-License-Identifier: Apache-2.0
"""Late scaling: V doubles only while it must, the last sums are shifted instead."""

from amaranth import Cat, Const, Mux, Signal, signed

from stemcore.golden.spec.widths import STEP_WIDTH

from ..potential_update import PotentialUpdate
from ..soma import Soma
from ..soma_signature import SomaKind


class LateUpdate(PotentialUpdate):
    """``golden/spec/neurons/late.py``, with r = ``constants.shift`` of at most 15::

    V' = sat16((2 V if t <= steps-1-r else V) + (I >> max(0, t-(steps-1-r))))
    """

    def doubles(self, m):
        """From how far this step lies beyond the last that doubles."""
        beyond = Signal(signed(7))
        doubles = Signal(name="step_doubles", reset_less=True)
        self._shift = Signal(4, name="step_shift", reset_less=True)
        m.d.comb += beyond.eq(self.period + self.constants.shift + 1 - self.constants.steps)
        m.d.sync += [doubles.eq(beyond <= 0), self._shift.eq(Mux(beyond < 0, 0, beyond))]
        return doubles

    def term(self, m, lane, valid):
        """``I >> shift``, two cycles after ``i``."""
        coarse, fine = (
            Signal(signed(STEP_WIDTH), name=f"{name}_{lane}", reset_less=True)
            for name in ("coarse", "fine")
        )
        with m.If(valid[0]):
            m.d.sync += coarse.eq(self.i[lane] >> Cat(Const(0, 2), self._shift[2:]))
        with m.If(valid[1]):
            m.d.sync += fine.eq(coarse >> self._shift[:2])
        return fine


SOMA = SomaKind("late", lambda params: Soma(params, update=LateUpdate))
