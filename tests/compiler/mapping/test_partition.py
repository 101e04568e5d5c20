# SPDX-License-Identifier: Apache-2.0
"""Tiles cover every layer once, fit, and share the work."""

import dataclasses
import itertools

import numpy as np
import pytest

from stemcore.compiler.activity import spike_maps
from stemcore.compiler.errors import PartitionError
from stemcore.compiler.mapping.connectivity import before_pool, length, make_tile, taps
from stemcore.compiler.mapping.partition import (
    N_BISECTIONS,
    Partition,
    Partitioner,
    check_partition,
    partition,
)
from stemcore.compiler.mapping.tiling import LayerCost, split_evenly
from stemcore.golden.network.network import INPUT, MaxPool
from stemcore.golden.spec.presets import get_preset
from tests.support.chains import chain, convolution, plain_layer
from tests.support.random_networks import random_network

TINY = get_preset("tiny")


def replace_layer(network, **changes):
    """The network with its first layer changed."""
    layers = (dataclasses.replace(network.layers[0], **changes), *network.layers[1:])
    return dataclasses.replace(network, layers=layers)


@pytest.mark.medium
def test_random_partitions_are_legal(rng):
    for _ in range(40):
        network = random_network(rng)
        for cores in (None, 12, 25):
            result = partition(network, TINY, cores)
            check_partition(network, TINY, result)
            assert cores is None or result.n_cores <= cores


@pytest.mark.slow
def test_the_fewest_cores_are_enough(rng):
    for _ in range(60):
        network = random_network(rng)
        fewest = partition(network, TINY).n_cores
        for cores in range(fewest, fewest + 3):
            assert partition(network, TINY, cores).n_cores <= cores


@pytest.mark.medium
def test_more_cores_never_slow_the_busiest_down(rng):
    network = random_network(rng, n_layers=3)
    fewest = partition(network, TINY).n_cores
    busiest = [max(partition(network, TINY, n).cycles) for n in range(fewest, fewest + 12)]
    for slower, faster in itertools.pairwise(busiest):
        assert faster <= slower * 1.001


def test_work_not_size_is_balanced():
    network = chain((8, 32, 1), 4)
    spikes = np.full((8, 32, 1), 1.0)
    spikes[:, :4] = 8.0
    result = partition(network, TINY, 2, {INPUT: spikes})
    assert result.n_cores == 2
    sizes = [length(tile.rows) for tile in result.tiles]
    assert sizes[0] < sizes[1]


def plain_operations(network, tile, lanes, spikes):
    """Dendrite operations of a tile, source neuron by source neuron."""
    total = 0.0
    layer = network.layers[tile.layer]
    for connection in layer.connections:
        source = spikes[connection.source]
        out_per_group = layer.shape[0] // connection.groups
        in_per_group = source.shape[0] // connection.groups
        for c in range(source.shape[0]):
            group = c // in_per_group
            neurons = range(group * out_per_group, (group + 1) * out_per_group)
            blocks = {n // lanes for n in neurons} & set(range(*tile.blocks))
            n_taps = [
                taps(connection, axis, source.shape[1 + axis], span)[1]
                for axis, span in ((0, tile.pre_rows), (1, tile.pre_columns))
            ]
            total += len(blocks) * float(n_taps[0] @ source[c] @ n_taps[1])
    return total


@pytest.mark.medium
def test_predicted_operations_are_those_of_the_tiles(rng):
    for _ in range(10):
        network = random_network(rng)
        spikes = {
            name: rng.integers(0, 9, values.shape).astype(float)
            for name, values in spike_maps(network).items()
        }
        result = partition(network, TINY, 12, spikes)
        for index in range(len(network.layers)):
            cost = LayerCost(network, index, TINY, spikes)
            for tile in (tile for tile in result.tiles if tile.layer == index):
                got = cost.work[
                    slice(*tile.blocks), slice(*tile.pre_rows), slice(*tile.pre_columns)
                ].sum()
                np.testing.assert_allclose(got, plain_operations(network, tile, TINY.lanes, spikes))


def test_taps_are_those_of_the_definition():
    for kernel, stride, padding, size in itertools.product(
        (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (4, 7)
    ):
        n_out = (size + 2 * padding - kernel) // stride + 1
        if n_out < 1:
            continue
        connection = convolution(INPUT, 1, 1, (kernel, kernel), stride=stride, padding=padding)
        for start, stop in itertools.combinations(range(n_out + 1), 2):
            first, count = taps(connection, 0, size, (start, stop))
            for y in range(size):
                outputs = [o for o in range(start, stop) if 0 <= y + padding - o * stride < kernel]
                assert count[y] == len(outputs)
                assert not outputs or first[y] == outputs[0]


def test_overlapping_windows_are_recomputed():
    pool = MaxPool((3, 3), (2, 2), (1, 1))
    layer = plain_layer("pooled", (4, 9, 9), convolution(INPUT, 1, 4, (3, 3), padding=1), pool=pool)
    assert layer.out_shape == (4, 5, 5)
    assert before_pool(layer, 0, (0, 2)) == (0, 4)
    assert before_pool(layer, 0, (2, 5)) == (3, 9)
    tile = make_tile(layer, 0, (0, 1), (2, 5), (0, 1))
    assert (tile.pre_rows, tile.pre_columns, tile.n_acc_words) == ((3, 9), (0, 2), 12)


def test_split_evenly_puts_longer_spans_first():
    assert split_evenly(7, 3) == ((0, 3), (3, 5), (5, 7))
    assert split_evenly(4, 4) == ((0, 1), (1, 2), (2, 3), (3, 4))


def fewest_tiles(cost, target, rows, columns):
    """Tiles for a rectangle of outputs by trying every number of channel spans."""
    for n_spans in range(1, cost.n_blocks + 1):
        spans = split_evenly(cost.n_blocks, n_spans)
        tiles = [make_tile(cost.layer, cost.index, span, rows, columns) for span in spans]
        if all(fits(cost, tile) and cost.cycles(tile) <= target for tile in tiles):
            return n_spans
    return np.inf


def fewest_by_trial(cost, target):
    """The best of all strips of rows, each with its best columns."""
    _, height, width = cost.layer.out_shape

    def strip(rows):
        best = [0] + [np.inf] * width
        for stop in range(1, width + 1):
            for start in range(stop):
                n = best[start] + fewest_tiles(cost, target, rows, (start, stop))
                best[stop] = min(best[stop], n)
        return best[width]

    best = [0] + [np.inf] * height
    for stop in range(1, height + 1):
        for start in range(stop):
            best[stop] = min(best[stop], best[start] + strip((start, stop)))
    return best[height]


def fits(cost, tile):
    needs = cost.block_needs(tile.blocks).values()
    return (
        all(need <= has for need, has in needs)
        and tile.n_acc_words <= TINY.n_acc_words
        and tile.n_fire_words <= TINY.n_fire_words
        and cost.n_entries(tile) <= TINY.n_update
    )


@pytest.mark.medium
def test_tiles_are_the_fewest_for_a_target(rng):
    """Dense layers, whose blocks all have the same work: the search is exact there."""
    pool = MaxPool((3, 3), (2, 2), (1, 1))
    layer = plain_layer(
        "pooled", (11, 9, 7), convolution(INPUT, 5, 11, (3, 3), padding=1), pool=pool
    )
    network = dataclasses.replace(chain((5, 9, 7), 4), layers=(layer,))
    spikes = {INPUT: rng.random((5, 9, 7)) * 4, "pooled": np.zeros(layer.out_shape)}
    cost = LayerCost(network, 0, TINY, spikes)
    assert cost.n_tiles(400) == fewest_by_trial(cost, 400) == np.inf
    for target in (1000, 1500, 2500, 5000, np.inf):
        assert cost.n_tiles(target) == fewest_by_trial(cost, target)
        assert all(cost.cycles(tile) <= target for tile in cost.tiles(target))
        assert len(cost.tiles(target)) == cost.n_tiles(target)


def test_check_finds_a_neuron_computed_twice():
    network = chain((1, 4, 4), 4)
    result = partition(network, TINY)
    doubled = Partition(result.tiles * 2, result.cycles)
    match = r"^layer0: block 0 at \(0, 0\) must be computed once, is computed 2 times$"
    with pytest.raises(PartitionError, match=match):
        check_partition(network, TINY, doubled)


def test_weights_that_fit_no_core_are_refused():
    network = chain((40, 4, 4), ("dense", 4))
    match = (
        r"^layer0: one block of 4 channels needs 640 weight words, a core has 512; choose a preset "
        r"with larger memories, such as sim32 or sim32_wide, or make the layer smaller$"
    )
    with pytest.raises(PartitionError, match=match):
        partition(network, TINY)


def test_too_many_connections_are_refused():
    connections = [convolution(INPUT, 4, 4, (1, 1)) for _ in range(5)]
    network = chain((4, 4, 4), 4)
    network = dataclasses.replace(network, layers=(plain_layer("sum", (4, 4, 4), *connections),))
    with pytest.raises(
        PartitionError, match=r"^sum: one block .* needs 5 axon descriptors, a core has 4"
    ):
        partition(network, TINY)


def test_window_that_fits_no_core_is_refused():
    network = replace_layer(chain((1, 12, 12), 4), pool=MaxPool((12, 12), (12, 12)))
    match = r"^layer0: one position needs 144 accumulator words, a core has 64; choose a preset"
    with pytest.raises(PartitionError, match=match):
        partition(network, TINY)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ((61, 2, 2), None),
        ((65, 2, 2), r"64 channels \(in whole blocks\), has 68"),
        ((1, 33, 2), "32 rows, has 33"),
        ((1, 2, 33), "32 columns, has 33"),
    ],
)
def test_coordinates_that_packets_cannot_name_are_refused(shape, what):
    network = chain(shape, 4)
    if what is None:
        return
    with pytest.raises(PartitionError, match=rf"^input: must have at most {what}; choose a preset"):
        partition(network, TINY)


def test_shift_that_does_not_fit_is_refused():
    connection = convolution(INPUT, 1, 4, (3, 3), padding=1, shift=9)
    network = replace_layer(chain((1, 4, 4), 4), connections=(connection,))
    match = (
        r"^layer0: shift of the connection from input must be 0 to 8 for 8 time steps, got 9; use "
        r"fewer bits or a preset with a larger shift_width$"
    )
    with pytest.raises(PartitionError, match=match):
        partition(network, TINY)


def test_multipliers_on_a_lean_core_are_refused():
    network = replace_layer(chain((1, 4, 4), 4), multiplier=np.full(4, 40000))
    match = r"^layer0: multipliers must be 1 on cores without multipliers, got 40000; choose a"
    with pytest.raises(PartitionError, match=match):
        partition(network, TINY.with_(multipliers=False))


def test_too_few_cores_are_refused_with_the_number_needed():
    network = chain((1, 16, 16), 4, 4)
    with pytest.raises(
        PartitionError, match=r"^chain: needs at least 8 cores, has 7; give more cor"
    ):
        partition(network, TINY, 7)
    assert partition(network, TINY, 8).n_cores == 8


def test_too_many_connections_are_refused_before_tiles_of_any_layer_are_cut(monkeypatch):
    first = plain_layer("first", (4, 4, 4), convolution(INPUT, 4, 4, (1, 1)))
    total = plain_layer("sum", (4, 4, 4), *(convolution("first", 4, 4, (1, 1)) for _ in range(5)))
    network = dataclasses.replace(chain((4, 4, 4), 4), layers=(first, total))
    monkeypatch.setattr("stemcore.compiler.mapping.partition.LayerCost", None)
    match = r"^sum: one block of 4 channels needs 5 axon descriptors, a core has 4; choose a preset"
    with pytest.raises(PartitionError, match=match):
        partition(network, TINY)


@pytest.mark.medium
def test_the_least_time_is_that_of_a_search_that_asks_every_layer_every_time(rng):
    n_with_choice = 0
    for _ in range(12):
        network = random_network(rng)
        partitioner = Partitioner(network, TINY)
        n_cores = partitioner.fewest + int(rng.integers(0, 8))
        costs = partitioner.costs

        def n_tiles(target, costs=costs):
            return sum(cost.n_tiles(target) for cost in costs)

        high = max(cost.cycles(tile) for cost in costs for tile in cost.tiles(np.inf))
        n_input = float(partitioner.spikes[INPUT].sum())
        low = n_input * sum(c.source == INPUT for one in network.layers for c in one.connections)
        low = min(low, high)
        if n_tiles(low) <= n_cores:
            high = low
        elif n_tiles(high) > n_cores:
            high = np.inf
        else:
            n_with_choice += 1
            for _ in range(N_BISECTIONS):
                middle = (low + high) / 2
                low, high = (low, middle) if n_tiles(middle) <= n_cores else (middle, high)
        tiles = tuple(tile for cost in costs for tile in cost.tiles(high))
        assert Partitioner(network, TINY).cut(n_cores).tiles == tiles
    assert n_with_choice > 4


def test_network_larger_than_the_largest_mesh_is_refused():
    network = chain((1, 32, 32), 16)
    match = r"^chain: needs at least 64 cores, the largest mesh has 2; give more cores, a larger"
    with pytest.raises(PartitionError, match=match):
        partition(network, TINY.with_(coord_width=1))


def test_more_layers_than_the_largest_mesh_has_nodes_are_refused_before_tiles_are_cut(monkeypatch):
    network = chain((1, 4, 4), 2, 2, 2)
    monkeypatch.setattr("stemcore.compiler.mapping.partition.LayerCost", None)
    match = (
        r"^chain: needs at least 3 cores, one for each layer and .*; the largest mesh has 2; let"
    )
    with pytest.raises(PartitionError, match=match):
        partition(network, TINY.with_(coord_width=1))
