# SPDX-License-Identifier: Apache-2.0
"""Register accesses that come in frames, one at a time."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from stemcore.golden.spec.host_registers import ADDRESS_WIDTH, REGISTER_WIDTH
from stemcore.golden.spec.uart_frames import ACCESS, COUNT_WIDTH, FLIT_BYTES, FrameKind

from ..layouts import struct
from .axi import AxiLite
from .uart_frames import HEADER_LAYOUT

KIND = HEADER_LAYOUT["kind"].shape


class RegisterAccess(wiring.Component):
    """Manager of AXI4-Lite. An access with the number of the last one is answered, not repeated.

    Members
    -------
    clear : ``In(1)``
        The next access is a new one, whatever its number; nobody waits for an answer.
    header : ``In(HEADER)``, access : ``In(ACCESS)``, good : ``In(1)``
        A frame of this session has come, of any kind.
    bus : ``Out(AxiLite)``
    due : ``Out(1)``
        Strobe: the answer is to be sent.
    kind, number : ``Out``
        Of its header.
    position : ``In``, byte : ``Out(8)``
        Of its payload: the byte of a cycle is that of the position before.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "header": In(HEADER_LAYOUT),
                "access": In(struct(ACCESS)),
                "good": In(1),
                "bus": Out(AxiLite(address_width=ADDRESS_WIDTH, data_width=REGISTER_WIDTH)),
                "due": Out(1),
                "kind": Out(KIND),
                "number": Out(COUNT_WIDTH),
                "position": In(range(FLIT_BYTES)),
                "byte": Out(8),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus, header, access = self.bus, self.header, self.access
        known = Signal()
        busy = Signal()
        is_write = Signal()
        is_access = Signal()
        repeats = Signal()
        begins = Signal()
        ends = Signal()
        is_far = Signal()  # beyond the page of registers
        result = Signal(REGISTER_WIDTH)
        response = Signal(2)
        words = Signal(data.ArrayLayout(8, FLIT_BYTES))
        m.d.comb += [
            is_write.eq(header.kind == FrameKind.WRITE),
            is_access.eq(
                self.good
                & (is_write | (header.kind == FrameKind.READ))
                & (header.length == FLIT_BYTES)
            ),
            repeats.eq(is_access & known & (header.sequence == self.number)),
            begins.eq(is_access & ~repeats & ~busy),
            is_far.eq(access.address[ADDRESS_WIDTH:] != 0),
            bus.bready.eq(1),
            bus.rready.eq(1),
            ends.eq(busy & (bus.bvalid | bus.rvalid)),
            self.due.eq(known & ((repeats & ~busy) | ends)),
            words.eq(Cat(response, Const(0, REGISTER_WIDTH - 2), result)),
        ]
        m.d.sync += self.byte.eq(words[self.position])
        for valid, ready in (
            (bus.awvalid, bus.awready),
            (bus.wvalid, bus.wready),
            (bus.arvalid, bus.arready),
        ):
            with m.If(ready):
                m.d.sync += valid.eq(0)
        with m.If(ends):
            m.d.sync += [
                busy.eq(0),
                result.eq(Mux(bus.rvalid, bus.rdata, 0)),
                response.eq(Mux(bus.bvalid, bus.bresp, bus.rresp)),
            ]
        # An address that the bus cannot say becomes one that is not aligned, which is refused.
        address = Mux(is_far, -1, access.address)
        with m.If(begins):
            m.d.sync += [
                busy.eq(1),
                known.eq(1),
                self.kind.eq(header.kind),
                self.number.eq(header.sequence),
                bus.awvalid.eq(is_write),
                bus.wvalid.eq(is_write),
                bus.arvalid.eq(~is_write),
                bus.awaddr.eq(address),
                bus.araddr.eq(address),
                bus.wdata.eq(access.data),
                bus.wstrb.eq(-1),
            ]
        with m.If(self.clear):
            m.d.sync += known.eq(0)
        return m
