# amaranth: UnusedElaboratable=no
# SPDX-License-Identifier: Apache-2.0
"""Queues of the network on chip."""

import pytest
from amaranth.back import rtlil

from stemcore.hdl.noc.queue import FlitQueue, FlitRegister
from tests.support.streams import BY_STALL, Sink, Source, simulate, transfer
from tests.support.structure import combinational_outputs

WIDTH = 9


@pytest.mark.medium
@BY_STALL
@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_queue_keeps_every_item_in_order(depth, stall, rng):
    items = rng.integers(1 << WIDTH, size=300).tolist()
    queue = FlitQueue(shape=WIDTH, depth=depth)
    assert transfer(queue, items, len(items), stall=stall, rng=rng) == items


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_queue_passes_an_item_a_cycle_after_one_cycle(depth):
    items = list(range(50))
    queue = FlitQueue(shape=WIDTH, depth=depth)
    source, sink = Source(queue.i, items), Sink(queue.o, len(items))
    simulate(queue, [source, sink], limit=100)
    assert source.cycles == list(range(50))
    assert sink.cycles == [cycle + 1 for cycle in source.cycles]


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_queue_holds_depth_items_and_no_more(depth):
    queue = FlitQueue(shape=WIDTH, depth=depth)

    async def fill(ctx):
        ctx.set(queue.i.valid, 1)
        for n_taken in range(depth + 3):
            assert ctx.get(queue.i.ready) == (n_taken < depth)
            assert ctx.get(queue.o.valid) == (n_taken > 0)
            ctx.set(queue.i.payload, n_taken)
            await ctx.tick()
        ctx.set(queue.i.valid, 0)
        ctx.set(queue.o.ready, 1)
        for n_given in range(depth):
            assert ctx.get(queue.o.payload) == n_given
            await ctx.tick()
            assert ctx.get(queue.i.ready) == 1
        assert ctx.get(queue.o.valid) == 0

    simulate(queue, [fill], limit=50)


def test_queue_refuses_depth_one():
    with pytest.raises(ValueError, match=r"^FlitQueue\.depth: must be 2 or more, got 1$"):
        FlitQueue(shape=WIDTH, depth=1)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_queue_converts(depth):
    assert rtlil.convert(FlitQueue(shape=WIDTH, depth=depth), emit_src=False)


@pytest.mark.sim
@pytest.mark.parametrize("depth", [2, 3])
def test_queue_has_no_path_from_input_to_output(depth):
    queue = FlitQueue(shape=WIDTH, depth=depth)
    assert combinational_outputs(queue, f"queue_{depth}") == set()


@pytest.mark.medium
@BY_STALL
def test_register_keeps_every_item_in_order(stall, rng):
    items = rng.integers(1 << WIDTH, size=300).tolist()
    register = FlitRegister(shape=WIDTH)
    assert transfer(register, items, len(items), stall=stall, rng=rng) == items


def test_register_passes_an_item_a_cycle_after_one_cycle():
    items = list(range(50))
    register = FlitRegister(shape=WIDTH)
    source, sink = Source(register.i, items), Sink(register.o, len(items))
    simulate(register, [source, sink], limit=100)
    assert source.cycles == list(range(50))
    assert sink.cycles == [cycle + 1 for cycle in source.cycles]


@pytest.mark.sim
def test_register_lets_only_ready_through():
    assert combinational_outputs(FlitRegister(shape=WIDTH), "flit_register") == {"i__ready"}
