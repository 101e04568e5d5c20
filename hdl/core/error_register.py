# SPDX-License-Identifier: Apache-2.0
"""What was wrong in a core: the causes, how often, and the first flit."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.errors import Error
from stemcore.golden.spec.fields import Formats
from stemcore.golden.spec.params import ChipParams
from stemcore.golden.spec.widths import CHUNK_WIDTH

from ..layouts import struct


class ErrorRegister(wiring.Component):
    """Keeps the causes of errors until they are cleared, counts, and asks for one alert.

    Causes are seen a cycle late. ``alert`` rises with the first error after a clearing and falls
    when it is sent; what it says is read then, and may hold later errors too.

    Members
    -------
    x, y : ``In``
        Coordinates of this node.
    causes : ``In(len(Error))``
        Errors of this cycle, bits as :class:`stemcore.golden.spec.errors.Error` numbers them. RANGE
        comes with ``valid`` alone.
    late_causes : ``In(len(Error))``
        Errors that the flit of the cycle before turns out to be.
    keep : ``In(1)``
        There is no error RANGE in this cycle, whatever ``causes`` says. It may come late.
    valid, flit : ``In``
        The flit at the entry of the core: what causes but OUTSIDE and STANDSTILL are about.
    clear : ``In(1)``
        Clears everything.
    errors : ``Out``
        Fields ``errors``.
    first : ``Out(flit)``
        The first flit that was an error; undefined while none was.
    alert, alerted : ``Out(1)``, ``In(1)``
        The host is to get an alert; it is being sent.
    idle : ``Out(1)``
        Nothing more will change before the next flit or error, ``late_causes`` of this cycle among
        them.
    """

    def __init__(self, *, params: ChipParams):
        formats = Formats(params)
        if formats.errors.width > CHUNK_WIDTH:
            raise ValueError(
                f"ChipParams.coord_width: the fields errors must fit {CHUNK_WIDTH} bits, got "
                f"{formats.errors.width} with coordinates of {params.coord_width} bits"
            )
        super().__init__(
            {
                "x": In(params.coord_width),
                "y": In(params.coord_width),
                "causes": In(len(Error)),
                "late_causes": In(len(Error)),
                "keep": In(1),
                "valid": In(1),
                "flit": In(struct(formats.flit)),
                "clear": In(1),
                "errors": Out(struct(formats.errors)),
                "first": Out(struct(formats.flit)),
                "alert": Out(1),
                "alerted": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        n_flit_causes = Error.OUTSIDE.value
        noted = Signal(len(Error))
        kept_spike = Signal()
        seen = Signal(len(Error))
        seen_early = Signal(len(Error))
        causes = Signal(len(Error))
        count = Signal(self.errors.count.shape())
        is_error = Signal()
        has_flit = Signal()
        m.d.comb += [
            seen_early.eq(noted & ~(kept_spike << Error.RANGE)),
            seen.eq(seen_early | self.late_causes),
            is_error.eq(seen.any()),
            self.errors.as_value().eq(causes),
            self.errors.count.eq(count),
            self.errors.x.eq(self.x),
            self.errors.y.eq(self.y),
            self.idle.eq(~seen_early.any() & ~self.alert),
        ]
        flit_seen = seen[:n_flit_causes].any()
        m.d.sync += noted.eq(self.causes)
        with m.If(self.valid):
            m.d.sync += kept_spike.eq(self.keep)
        # Whether the flit was an error is known a cycle after it was here.
        kept = Signal.like(self.first)
        m.d.comb += self.first.eq(kept)
        with m.If(self.valid & ~has_flit & ~flit_seen):
            m.d.sync += kept.eq(self.flit)
        with m.If(flit_seen):
            m.d.sync += has_flit.eq(1)
        with m.If(is_error):
            m.d.sync += [causes.eq(causes | seen), count.eq(count + ~count.all())]
        with m.If(is_error & ~causes.any()):
            m.d.sync += self.alert.eq(1)
        with m.Elif(self.alerted):
            m.d.sync += self.alert.eq(0)
        with m.If(self.clear):
            m.d.sync += [causes.eq(0), count.eq(0), has_flit.eq(0), self.alert.eq(0)]
        return m
