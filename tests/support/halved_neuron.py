# SPDX-License-Identifier: Apache-2.0
"""A neuron model that the project does not have: its three files, in one.

``V[t] = sat16(2 V[t-1] + (I[t] >> 1))`` from ``V[-1] = 0``; V[T-1] stands for half the sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from amaranth import Const, Signal, signed

from stemcore.compiler.errors import RangeError
from stemcore.compiler.lowering.calibrated import CalibratedLowering
from stemcore.compiler.lowering.reach import LayerReach
from stemcore.compiler.lowering.rescale import PotentialScale
from stemcore.golden.spec.neuron_model import Neuron, NeuronModel, TokenPeriod
from stemcore.golden.spec.sixteen_bits import HIGHEST, LOWEST, POTENTIAL, saturate
from stemcore.golden.spec.widths import BITS_WIDTH, STEP_WIDTH
from stemcore.hdl.core.potential_update import PotentialUpdate
from stemcore.hdl.core.soma import Soma
from stemcore.hdl.core.soma_signature import SomaKind


# golden/spec/neurons/halved.py ------------------------------------------------------------------
@dataclass(frozen=True)
class Halved(Neuron):
    """No constants."""

    MODEL_NAME = "halved"

    def update(self, v: Any, i: Any, t: int, n_periods: int) -> Any:
        return saturate((i >> 1) if t == 0 else 2 * v + (i >> 1))

    @classmethod
    def from_fields(cls, fields: Mapping[str, int], *, multipliers: bool) -> "Halved":
        return cls()

    def to_fields(self, bits: int) -> dict[str, int]:
        return {"steps": bits}


MODEL = NeuronModel(
    name="halved",
    neuron=Halved,
    token_period=TokenPeriod.TIME_STEP,
    acc_width=STEP_WIDTH,
    state=(POTENTIAL,),
    register=(("steps", BITS_WIDTH),),
    shifts_on_arrival=False,
    is_exact=False,
    latency=(5, 5),
)


# compiler/lowering/neurons/halved.py ------------------------------------------------------------
class HalvedLowering(CalibratedLowering):
    """Nothing to choose: potentials fit or not."""

    name = "halved"
    modes = ("halved",)
    probe = Halved()

    def fit(self, reach: LayerReach, mode: str, *, multipliers: bool) -> Halved:
        if max(reach.potentials) > 2 * HIGHEST:
            raise RangeError(reach.name, "potentials must fit 17 bits", "use smaller weights")
        return Halved()

    def scale(self, neuron: Neuron) -> PotentialScale:
        return PotentialScale(1, 1, Fraction(), -LOWEST)

    def describe(self, neuron: Neuron) -> str:
        return "halves"


LOWERING = HalvedLowering()


# hdl/core/neurons/halved.py ---------------------------------------------------------------------
class HalvedUpdate(PotentialUpdate):
    """Halves a sum, three cycles after it came."""

    def doubles(self, m):
        return Const(1)

    def term(self, m, lane, valid):
        value = self.i[lane] >> 1
        for stage in range(3):
            half = Signal(signed(STEP_WIDTH), name=f"half_{stage}_{lane}", reset_less=True)
            with m.If(valid[stage]):
                m.d.sync += half.eq(value)
            value = half
        return value


SOMA = SomaKind("halved", lambda params: Soma(params, update=HalvedUpdate))
