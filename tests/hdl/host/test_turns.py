# SPDX-License-Identifier: Apache-2.0
"""Turns of spikes: keys are in the order of the fractions, and equal where those are."""

from fractions import Fraction
from itertools import pairwise

import pytest
from amaranth import Module
from amaranth.sim import Simulator

from stemcore.hdl.host.turns import FirstTurn, NextTurn, key_width

COUNT_WIDTH = 5


def keys_of(counts):
    """Keys of every spike of routes with so many spikes; cycles of each division."""
    first, following = FirstTurn(count_width=COUNT_WIDTH), NextTurn(count_width=COUNT_WIDTH)
    found, cycles = {}, []

    async def bench(ctx):
        for n in counts:
            ctx.set(first.n, n)
            ctx.set(first.start, 1)
            await ctx.tick()
            ctx.set(first.start, 0)
            cycle = 0
            while not ctx.get(first.done):
                await ctx.tick()
                cycle += 1
            cycles.append(cycle)
            turns = ctx.get(first.o.as_value())
            found[n] = []
            for left in range(n, 0, -1):
                ctx.set(following.i.as_value(), turns)
                await ctx.delay(1e-9)
                assert ctx.get(following.i.left) == left
                found[n].append(ctx.get(following.i.key))
                turns = ctx.get(following.o.as_value())
                assert ctx.get(following.o.left) == left - 1

    m = Module()
    m.submodules.first, m.submodules.following = first, following
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found, cycles


def test_keys_are_in_the_order_of_fractions():
    counts = [1, 2, 3, 5, 6, 9, 15, 16, 21, 31, 32]
    keys, cycles = keys_of(counts)
    assert set(cycles) == {key_width(COUNT_WIDTH)}
    turns = [(Fraction(2 * i + 1, 2 * n), key) for n in counts for i, key in enumerate(keys[n])]
    assert len(turns) == sum(counts)
    by_turn = dict(turns)
    assert all(by_turn[turn] == key for turn, key in turns)
    in_order = [by_turn[turn] for turn in sorted(by_turn)]
    assert all(a < b for a, b in pairwise(in_order))


@pytest.mark.parametrize("count_width", [1, 3, 9])
def test_a_key_is_wide_enough_for_two_routes_that_are_full(count_width):
    n = 1 << count_width
    nearest = Fraction(1, 2 * n * n)
    assert Fraction(1, 1 << key_width(count_width)) <= nearest
