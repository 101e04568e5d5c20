# SPDX-License-Identifier: Apache-2.0
"""Tables for few cycles: times of layers, and steps that make the busiest one faster."""

from types import SimpleNamespace

import numpy as np

from stemcore.compiler.sparsity.cycles import (
    LayerTime,
    cycles_path,
)
from stemcore.compiler.sparsity.search import Candidate, greedy_path
from stemcore.golden.network.network import INPUT


def network_of(*layers):
    return SimpleNamespace(layers=layers)


def layer(name, *connections):
    return SimpleNamespace(name=name, connections=connections)


def candidates(**found):
    """Of each population SOPs and losses of no table and of others: ``a=[(100, 0), (50, 0.1)]``."""
    return [
        Candidate(name, f"t{i}" if i else "none", float(sops), loss)
        for name, of in found.items()
        for i, (sops, loss) in enumerate(of)
    ]


def test_spikes_into_the_busiest_layer_go_first():
    """Those of ``a`` are many and cost little divergence, but the layer they enter is waited for
    by nobody until ``a`` itself is faster."""
    network = network_of(layer("a"), layer("b"))
    times = {
        "a": LayerTime(100.0, 0.0, 10.0, {INPUT: 1.0}),
        "b": LayerTime(60.0, 0.0, 0.0, {"a": 1.0}),
    }
    some = candidates(input=[(10, 0.0), (5, 0.2)], a=[(1000, 0.0), (100, 0.01)])
    assert greedy_path(some)[1] == {"a": "t1"}
    assert cycles_path(some, network, times) == [
        {},
        {"input": "t1"},
        {"input": "t1", "a": "t1"},
    ]


def test_a_step_that_saves_no_cycle_is_left_out():
    """The layer fires for longer than it accumulates."""
    times = {"a": LayerTime(10.0, 5.0, 100.0, {INPUT: 1.0})}
    some = candidates(input=[(10, 0.0), (5, 0.0)])
    assert cycles_path(some, network_of(layer("a")), times) == [{}]
    assert cycles_path([], network_of(layer("a")), times) == [{}]


def test_a_skip_buffer_fires_what_its_source_does():
    ones = np.ones((2, 1, 1, 1), np.int64)
    buffer = SimpleNamespace(
        name="copy",
        connections=(SimpleNamespace(source="a", groups=2, weight=ones),),
        pool=None,
        table=None,
        shape=(2, 4, 4),
        multiplier=np.ones(2),
        shift=np.zeros(2),
        bias=np.zeros(2),
    )
    times = {
        "a": LayerTime(1.0, 0.0, 1.0, {INPUT: 1.0}),
        "copy": LayerTime(10.0, 0.0, 10.0, {"a": 1.0}),
        "b": LayerTime(80.0, 0.0, 1.0, {"copy": 1.0}),
    }
    some = candidates(a=[(10, 0.0), (5, 0.1)])
    assert cycles_path(some, network_of(layer("a"), buffer, layer("b")), times)[-1] == {"a": "t1"}
