# SPDX-License-Identifier: Apache-2.0
"""The channels of AXI4-Lite become one write and one read at a time."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .axi import AxiLite, Response


class AxiLitePort(wiring.Component):
    """Subordinate of AXI4-Lite: holds each channel's beat until the access can be answered.

    Address and data of a write may come in any order and at any distance. A write happens in one
    cycle, ``write`` high, in which ``write_error`` must say whether it is refused; a read likewise
    with ``read``, ``read_data`` and ``read_error``. Reads and writes do not wait for each other.
    One access of each kind every other cycle at most; a response that waits holds back those behind
    it, never the other kind. All outputs to the bus are registers, or their inverse.

    Parameters
    ----------
    address_width, data_width : int

    Members
    -------
    bus : ``In(AxiLite)``
    write, read : ``Out(1)``
        An access happens in this cycle.
    write_address, write_data, write_strobe, read_address : ``Out``
        Of the access; undefined at other times.
    write_error, read_error, read_data : ``In``
        The answer, in the same cycle.
    """

    def __init__(self, *, address_width: int, data_width: int):
        super().__init__(
            {
                "bus": In(AxiLite(address_width=address_width, data_width=data_width)),
                "write": Out(1),
                "write_address": Out(address_width),
                "write_data": Out(data_width),
                "write_strobe": Out(data_width // 8),
                "write_error": In(1),
                "read": Out(1),
                "read_address": Out(address_width),
                "read_data": In(data_width),
                "read_error": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus = self.bus
        holds_aw = Signal()
        holds_w = Signal()
        holds_ar = Signal()

        m.d.comb += [
            bus.awready.eq(~holds_aw),
            bus.wready.eq(~holds_w),
            bus.arready.eq(~holds_ar),
            self.write.eq(holds_aw & holds_w & (~bus.bvalid | bus.bready)),
            self.read.eq(holds_ar & (~bus.rvalid | bus.rready)),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [holds_aw.eq(1), self.write_address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [
                holds_w.eq(1),
                self.write_data.eq(bus.wdata),
                self.write_strobe.eq(bus.wstrb),
            ]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [holds_ar.eq(1), self.read_address.eq(bus.araddr)]

        with m.If(self.write):
            m.d.sync += [
                holds_aw.eq(0),
                holds_w.eq(0),
                bus.bvalid.eq(1),
                bus.bresp.eq(Mux(self.write_error, Response.SLVERR, Response.OKAY)),
            ]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)

        with m.If(self.read):
            m.d.sync += [
                holds_ar.eq(0),
                bus.rvalid.eq(1),
                bus.rdata.eq(Mux(self.read_error, 0, self.read_data)),
                bus.rresp.eq(Mux(self.read_error, Response.SLVERR, Response.OKAY)),
            ]
        with m.Elif(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        return m
