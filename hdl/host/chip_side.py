# SPDX-License-Identifier: Apache-2.0
"""The ports at which every host side meets its chip, in one place."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from stemcore.golden.spec.params import ChipParams

from ..layouts import flit_stream


def chip_side(params: ChipParams) -> dict[str, wiring.Member]:
    """Members of a component that stands between a host and a chip.

    chip_clk : ``In(1)``
        The chip's clock, which needs no relation to ``sync``.
    chip_rst : ``Out(1)``
        The chip's synchronous reset, in its domain, as are:
    chip_i : ``Out(flits)``, chip_o : ``In(flits)``
        To the chip, and from it.
    chip_quiet : ``In(1)``
        Of the chip.
    """
    flits = flit_stream(params)
    return {
        "chip_clk": In(1),
        "chip_rst": Out(1),
        "chip_i": Out(flits),
        "chip_o": In(flits),
        "chip_quiet": In(1),
    }


def forward_chip_side(m: Module, *, outer: wiring.Component, inner: wiring.Component) -> None:
    """Makes ``chip_side`` of ``inner``, a part of ``outer``, that of ``outer`` itself."""
    m.d.comb += [
        inner.chip_clk.eq(outer.chip_clk),
        outer.chip_rst.eq(inner.chip_rst),
        inner.chip_quiet.eq(outer.chip_quiet),
    ]
    connect(m, inner.chip_i, flipped(outer.chip_i))
    connect(m, flipped(outer.chip_o), inner.chip_o)
