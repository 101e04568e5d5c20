# SPDX-License-Identifier: Apache-2.0
"""The phase-locked loop of ECP5: dividers for a frequency, and the instance."""

from dataclasses import dataclass

from amaranth import ClockSignal, Const, Instance, Signal

# Lattice's family data sheet, table of sysCLOCK timing.
MIN_COMPARE_MHZ, MAX_COMPARE_MHZ = 3.125, 400.0
MIN_VCO_MHZ, MAX_VCO_MHZ = 400.0, 800.0
MAX_DIVIDER = 128


@dataclass(frozen=True)
class Pll:
    """Dividers of EHXPLLL with feedback from its first output.

    input_mhz : frequency that comes in
    input_divider, feedback_divider : output frequency = input * feedback / input divider
    output_divider : oscillator's frequency = output frequency * output divider
    """

    input_mhz: float
    input_divider: int
    feedback_divider: int
    output_divider: int

    @property
    def mhz(self) -> float:
        """Frequency of the output."""
        return self.input_mhz * self.feedback_divider / self.input_divider

    def instance(self, *, clk, locked):
        """The instance: ``clk`` comes out, ``locked``: it is stable."""
        feedback = Signal(name="pll_feedback")
        return Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC",
            p_OUTDIVIDER_MUXD="DIVD",
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_CPHASE=self.output_divider // 2,
            p_CLKOP_FPHASE=0,
            p_CLKI_DIV=self.input_divider,
            p_CLKFB_DIV=self.feedback_divider,
            p_CLKOP_DIV=self.output_divider,
            p_FEEDBK_PATH="CLKOP",
            i_CLKI=ClockSignal(),
            i_CLKFB=clk,
            o_CLKOP=clk,
            o_CLKINTFB=feedback,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_LOCK=locked,
        )


def find_pll(input_mhz: float, mhz: float) -> Pll:
    """The loop whose output comes nearest to ``mhz``; ``ValueError`` where none is within 5 %."""
    found = [
        Pll(input_mhz, into, feedback, out)
        for into in range(1, MAX_DIVIDER + 1)
        if MIN_COMPARE_MHZ <= input_mhz / into <= MAX_COMPARE_MHZ
        for feedback in {max(1, min(MAX_DIVIDER, round(mhz * into / input_mhz)))}
        for out in {max(1, min(MAX_DIVIDER, round(600 * into / (input_mhz * feedback))))}
        if MIN_VCO_MHZ <= input_mhz * feedback / into * out <= MAX_VCO_MHZ
    ]
    best = min(found, key=lambda pll: abs(pll.mhz - mhz), default=None)
    if best is None or abs(best.mhz - mhz) > mhz / 20:
        raise ValueError(
            f"clock: must be a frequency that the PLL makes of {input_mhz:g} MHz within 5 %, "
            f"{MIN_VCO_MHZ / MAX_DIVIDER:g} to {MAX_VCO_MHZ:g} MHz; got {mhz:g} MHz"
        )
    return best
